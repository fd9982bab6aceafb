"""Turns a container into the JSON that `docker inspect` prints. Pure."""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.now import nano_stamp
from dockyard.node.engine.config import Container, PortSpec
from dockyard.node.engine.places import Places

ZERO_TIME = "0001-01-01T00:00:00Z"


def describe(container: Container, places: Places) -> dict[str, Any]:
    """The members that clients of Docker look at, in its names."""
    config, state = container.config, places.state(container.id)
    running = container.status in ("running", "paused")
    args = list(container.args)
    return {
        "Id": container.id,
        "Created": nano_stamp(container.created),
        "Path": args[0] if args else "",
        "Args": args[1:],
        "State": {
            "Status": container.status,
            "Running": running,
            "Paused": container.status == "paused",
            "Restarting": False,
            "OOMKilled": container.oom_killed,
            "Dead": False,
            "Pid": container.pid,
            "ExitCode": container.exit_code,
            "Error": container.error,
            "StartedAt": nano_stamp(container.started) if container.started else ZERO_TIME,
            "FinishedAt": nano_stamp(container.finished) if container.finished else ZERO_TIME,
        },
        "Image": container.image_id,
        "ResolvConfPath": f"{state}/resolv.conf",
        "HostnamePath": f"{state}/hostname",
        "HostsPath": f"{state}/hosts",
        "LogPath": config.log.path or places.log(container.id),
        "Name": f"/{container.name}",
        "RestartCount": 0,
        "Driver": "overlay2",
        "Platform": "linux",
        "HostConfig": {
            "Binds": [
                f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"
                for mount in config.mounts
                if mount.kind == "bind"
            ],
            "NetworkMode": config.network,
            "PortBindings": _bindings(config.ports),
            "AutoRemove": config.auto_remove,
            "CapAdd": list(config.cap_add) or None,
            "CapDrop": list(config.cap_drop) or None,
            "Privileged": config.privileged,
            "ReadonlyRootfs": config.read_only,
            "SecurityOpt": list(config.security_opt) or None,
            "Memory": config.resources.memory,
            "MemorySwap": config.resources.memory_swap,
            "NanoCpus": config.resources.nano_cpus,
            "CpuShares": config.resources.cpu_shares,
            "CpusetCpus": config.resources.cpuset,
            "PidsLimit": config.resources.pids or None,
            "LogConfig": {"Type": config.log.kind, "Config": {}},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        },
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {"UpperDir": f"{state}/upper", "WorkDir": f"{state}/work"},
        },
        "Mounts": [
            {
                "Type": mount.kind,
                "Source": mount.source,
                "Destination": mount.target,
                "RW": not mount.read_only,
            }
            for mount in config.mounts
        ],
        "Config": {
            "Hostname": config.hostname or container.id[:12],
            "User": config.user,
            "Tty": config.terminal,
            "OpenStdin": config.open_stdin,
            "StdinOnce": config.stdin_once,
            "Env": list(config.env),
            "Cmd": list(config.command) or None,
            "Image": config.image,
            "WorkingDir": config.workdir,
            "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
            "Labels": dict(config.labels),
            "StopSignal": config.stop_signal or "SIGTERM",
        },
        "NetworkSettings": {
            "IPAddress": container.address if running else "",
            "Ports": _bindings(container.ports) if running else {},
            "Networks": {config.network: {"IPAddress": container.address if running else ""}},
        },
    }


def _bindings(ports: tuple[PortSpec, ...]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(
            {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        )
    return found

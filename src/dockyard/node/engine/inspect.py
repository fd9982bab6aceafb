"""Turns a container into the JSON that `docker inspect` prints (Engine API, ContainerInspect)."""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.now import nano_stamp
from dockyard.base.errors import DockyardError
from dockyard.base.linux.overlay import NATIVE
from dockyard.node.engine import health, roots
from dockyard.node.engine.clear import has_own_network
from dockyard.node.engine.config import RESTARTING, Container, MountSpec, PortSpec, Resources
from dockyard.node.engine.etcfiles import hostname
from dockyard.node.engine.inspectdefaults import ENDPOINT, HOST_CONFIG, NETWORK_SETTINGS
from dockyard.node.engine.mounts import NO_COPY, OURS
from dockyard.node.engine.parts import Parts

ZERO_TIME = "0001-01-01T00:00:00Z"
MEGABYTE = 1024 * 1024


def describe(container: Container, parts: Parts) -> dict[str, Any]:
    """The members that clients of Docker look at, in its names."""
    places = parts.places
    config, state = container.config, places.state(container.id)
    own_etc = config.own_etc and not config.pause
    return {
        "Id": container.id,
        "Created": nano_stamp(container.created),
        "Path": container.args[0] if container.args else "",
        "Args": list(container.args[1:]),
        "State": _state(container) | _health(container, parts),
        "Image": container.image_id,
        "ResolvConfPath": f"{state}/resolv.conf" if own_etc else "",
        "HostnamePath": f"{state}/hostname" if own_etc else "",
        "HostsPath": f"{state}/hosts" if own_etc else "",
        "LogPath": config.log.path or places.log(container.id),
        "Name": f"/{container.name}",
        "RestartCount": container.restarts,
        "Driver": container.driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(container, parts),
        "GraphDriver": {
            "Name": container.driver,
            "Data": {
                **_layers(container, parts),
                "UpperDir": f"{state}/upper",
                "WorkDir": f"{state}/work",
                "MergedDir": f"{state}/rootfs",
            }
            if container.driver != NATIVE
            else None,  # docker's vfs has nothing to tell either
        },
        "Mounts": [_mount(mount, parts) for mount in config.mounts if mount.kind != "tmpfs"],
        "Config": _config(container),
        "NetworkSettings": _network(container),
    }


def _state(container: Container) -> dict[str, Any]:
    return {
        "Status": container.status,
        "Running": container.alive or container.status == RESTARTING,
        "Paused": container.status == "paused",
        "Restarting": container.status == RESTARTING,
        "OOMKilled": container.oom_killed,
        "Dead": False,
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": nano_stamp(container.started) if container.started else ZERO_TIME,
        "FinishedAt": nano_stamp(container.finished) if container.finished else ZERO_TIME,
    }


def _health(container: Container, parts: Parts) -> dict[str, Any]:
    said = health.read(parts, container)
    if said is None:
        return {}
    return {"Health": {name: said[name] for name in ("Status", "FailingStreak", "Log")}}


def _host_config(container: Container, parts: Parts) -> dict[str, Any]:
    config, limits = container.config, container.config.resources
    joined = {kind: "host" if other == "host" else f"container:{other}"
              for kind, other in config.join}  # fmt: skip
    return {
        **HOST_CONFIG,
        **({"MaskedPaths": [], "ReadonlyPaths": []} if config.privileged else {}),
        "Binds": [
            f"{mount.source}:{mount.target}{_modes(mount)}"
            for mount in config.mounts
            if mount.kind != "tmpfs" and mount.source not in container.own_volumes
        ]
        or None,
        "LogConfig": {"Type": config.log.kind, "Config": dict(config.log.options)},
        "NetworkMode": config.network,
        "PortBindings": _bindings(config.ports),
        "PublishAllPorts": config.publish_all,
        "RestartPolicy": {
            "Name": config.restart.name,
            "MaximumRetryCount": config.restart.maximum,
        },
        "AutoRemove": config.auto_remove,
        "CapAdd": _capabilities(config.cap_add),
        "CapDrop": _capabilities(config.cap_drop),
        "CgroupnsMode": "host" if "cgroup" in joined else "private",
        **({"Annotations": dict(config.annotations)} if config.annotations else {}),
        **({"Init": True} if config.init else {}),
        "DeviceCgroupRules": list(config.device_rules) or None,
        "Devices": [
            {"PathOnHost": each.source, "PathInContainer": each.target,
             "CgroupPermissions": each.access}
            for each in config.devices
        ],
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "GroupAdd": [*config.group_names, *map(str, config.groups)] or None,
        "IpcMode": "none" if config.no_shm else joined.get("ipc", "private"),
        "CgroupParent": config.cgroup_parent,
        "Links": [f"/{_name_of(parts, other)}:/{container.name}/{alias}"
                  for other, alias in config.links] or None,
        "OomScoreAdj": config.oom_score_adj or 0,
        "PidMode": joined.get("pid", ""),
        "Privileged": config.privileged,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(config.security_opt) or None,
        "ShmSize": config.shm_bytes or 64 * MEGABYTE,
        "Sysctls": dict(config.sysctls) or None,
        "Tmpfs": {mount.target: ",".join(mount.options)
                  for mount in config.mounts if mount.kind == "tmpfs"} or None,
        "UTSMode": joined.get("uts", ""),
        "CpuShares": limits.cpu_shares,
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpusetCpus": limits.cpuset,
        "Memory": limits.memory,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "NanoCpus": limits.nano_cpus,
        "CpusetMems": limits.cpuset_mems,
        "BlkioWeight": limits.blkio_weight,
        **_device_limits(limits),
        "CpuRealtimePeriod": limits.cpu_rt_period,
        "CpuRealtimeRuntime": limits.cpu_rt_runtime,
        "MemorySwappiness": None if limits.swappiness < 0 else limits.swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids or None,
        "Runtime": config.runtime or HOST_CONFIG["Runtime"],
        "Ulimits": [{"Name": each.name, "Hard": each.hard, "Soft": each.soft}
                    for each in config.ulimits],
    }  # fmt: skip


def _modes(mount: MountSpec) -> str:
    words = (
        *(["ro"] if mount.read_only else []),
        *(o for o in mount.options if o == NO_COPY or o not in OURS),
    )
    return ":" + ",".join(words) if words else ""


def _capabilities(names: tuple[str, ...]) -> list[str] | None:
    """As Docker normalises them."""
    full = (name.upper() for name in names)
    return [n if n == "ALL" or n.startswith("CAP_") else f"CAP_{n}" for n in full] or None


def _layers(container: Container, parts: Parts) -> dict[str, str]:
    """Topmost first; an image that has gone has none to show."""
    try:
        found = roots.layers_of(parts.images, container.image_id, container.config.rootfs)
    except DockyardError:
        return {}
    return {"LowerDir": ":".join(found)}


def _name_of(parts: Parts, container_id: str) -> str:
    found = parts.database.get(container_id)
    return found.name if found else container_id


def _device_limits(limits: Resources) -> dict[str, Any]:
    names = {"weightDevice": "BlkioWeightDevice", "throttleReadBpsDevice": "BlkioDeviceReadBps",
             "throttleWriteBpsDevice": "BlkioDeviceWriteBps",
             "throttleReadIOPSDevice": "BlkioDeviceReadIOps",
             "throttleWriteIOPSDevice": "BlkioDeviceWriteIOps"}  # fmt: skip
    found: dict[str, Any] = {}
    for limit in limits.blkio_devices:
        value = "Weight" if limit.kind == "weightDevice" else "Rate"
        found.setdefault(names[limit.kind], []).append({"Path": limit.path, value: limit.value})
    return found


def _mount(mount: MountSpec, parts: Parts) -> dict[str, Any]:
    options = [option for option in mount.options if option not in OURS]
    found: dict[str, Any] = {
        "Type": mount.kind,
        "Source": mount.source,
        "Destination": mount.target,
        "Mode": "ro" if mount.read_only else "",
        "RW": not mount.read_only,
        "Propagation": options[-1] if options else "rprivate",
    }
    if mount.kind == "volume":
        found |= {"Name": mount.source, "Source": parts.volumes.path(mount.source),
                  "Driver": "local", "Propagation": ""}  # fmt: skip
    return found


def _config(container: Container) -> dict[str, Any]:
    config = container.config
    attached = config.stdin_once or not config.open_stdin
    return {
        "Hostname": hostname(container),
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.stdin_once,
        "AttachStdout": attached,
        "AttachStderr": attached,
        **({"ExposedPorts": {port: {} for port in _ports(container)}} if _ports(container) else {}),
        "Tty": config.terminal,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": list(config.env),
        "Cmd": list(config.command) or None,
        "Image": config.image or config.rootfs,
        "Volumes": {mount.target: {} for mount in config.mounts
                    if mount.source in container.own_volumes} or None,
        "WorkingDir": config.workdir,
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "OnBuild": None,
        **({"Healthcheck": health.describe(config.health)} if config.health else {}),
        "Labels": dict(config.labels),
        "StopSignal": config.stop_signal or "SIGTERM",
        "StopTimeout": config.stop_timeout,
    }  # fmt: skip


def _ports(container: Container) -> list[str]:
    named = (f"{port.container_port}/{port.protocol}" for port in container.config.ports)
    return list(dict.fromkeys((*container.config.exposed, *named)))


def _network(container: Container) -> dict[str, Any]:
    config, alive = container.config, container.alive
    name = config.network
    addresses = {"Gateway": container.gateway, "IPAddress": container.address,
                 "IPPrefixLen": container.prefix, "MacAddress": container.mac}  # fmt: skip
    shown = name if not name.startswith("container:") else ""
    asked: dict[str, Any] = {"IPAMConfig": {"IPv4Address": config.ip}} if config.ip else {}
    if config.aliases:
        asked["Aliases"] = list(config.aliases)
    return {
        **NETWORK_SETTINGS,
        **addresses,
        "SandboxKey": f"/proc/{container.pid}/ns/net" if alive else "",
        "Ports": _open_ports(container) if alive and has_own_network(config) else {},
        "Networks": {shown: {**ENDPOINT, **asked, **addresses, "NetworkID": shown}}
        if shown
        else {},
    }


def _open_ports(container: Container) -> dict[str, Any]:
    published = _bindings(container.ports)
    return {port: published.get(port) for port in _ports(container)}


def _bindings(ports: tuple[PortSpec, ...]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        host_port = str(port.host_port) if port.host_port else ""
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(
            {"HostIp": port.host_ip, "HostPort": host_port}
        )
    return found

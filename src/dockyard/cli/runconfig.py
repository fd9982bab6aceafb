"""Turns the flags of ``run`` and ``create`` into a container's configuration. Pure, but for files
of variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.cli import envflags, lifeflags, limitflags, mountflags
from dockyard.cli.common import size
from dockyard.node.engine.config import ContainerConfig, PortSpec, Resources, RestartPolicy

if TYPE_CHECKING:
    import argparse

GRACE, SYSTEM_GRACE = 10, 90
"""Seconds between what asks a container to end and what ends it."""


def config(options: argparse.Namespace) -> ContainerConfig:
    """The configuration that the flags describe."""
    words = options.words
    if not options.rootfs:
        image, words = words[0], words[1:]
    else:
        image = ""
    _refuse_conflicts(options)
    detach = getattr(options, "detach", True)
    found = ContainerConfig(
        image=image,
        rootfs=options.rootfs,
        entrypoint=_entrypoint(options.entrypoint),
        command=tuple(words),
        env=envflags.variables(options.env, options.env_file),
        workdir=options.workdir,
        user=options.user,
        groups=tuple(_group(text) for text in options.group_add if text.isdecimal()),
        group_names=tuple(text for text in options.group_add if not text.isdecimal()),
        hostname=options.hostname,
        terminal=options.tty or options.system,
        open_stdin=options.interactive or options.system,
        stdin_once=options.interactive and not detach and not options.system,
        system=options.system,
        auto_remove=getattr(options, "rm", False),
        labels=envflags.pairs(options.label, options.label_file),
        mounts=(
            *map(mountflags.volume, options.volume),
            *map(mountflags.mount, options.mount),
            *map(mountflags.tmpfs, options.tmpfs),
        ),
        shm_bytes=size(options.shm_size) if options.shm_size else 0,
        network="bridge" if options.network == "default" else options.network,
        ip=_address(options),
        ports=_published(options.publish),
        exposed=_exposed(options.expose),
        publish_all=options.publish_all,
        extra_hosts=tuple(options.add_host),
        dns=tuple(options.dns),
        dns_search=tuple(options.dns_search),
        dns_options=tuple(options.dns_option),
        resources=_resources(options),
        read_only=options.read_only,
        privileged=options.privileged,
        cap_add=tuple(options.cap_add),
        cap_drop=tuple(options.cap_drop),
        security_opt=tuple(map(_security, options.security_opt)),
        sysctls=envflags.pairs(options.sysctl),
        join=_joined(options),
        oom_score_adj=options.oom_score_adj,
        stop_signal=_signal(options.stop_signal),
        stop_timeout=_grace(options),
        restart=_restart(options),
        health=lifeflags.health(options),
        log=lifeflags.log(options),
        domainname=options.domainname,
        annotations=envflags.pairs(options.annotation),
        init=options.init,
        runtime=_runtime(options.runtime),
    )
    found = _with_devices(found, options)
    if options.without:
        from dockyard.cli.walls import leave_out

        found = leave_out(found, options.without, root=os.geteuid() == 0)
    return found


def _security(text: str) -> str:
    """``seccomp=FILE`` is said by what the file has in it."""
    from dockyard.node.engine.spec import security_option

    name, value = security_option(text)
    if name != "seccomp" or value in ("unconfined", "builtin"):
        return text
    import json

    try:
        with open(value, encoding="utf-8") as file:
            return f"seccomp={json.dumps(json.load(file), separators=(',', ':'))}"
    except OSError as error:
        raise Invalid(f"opening seccomp profile ({value}) failed: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"compacting json for seccomp profile ({value}) failed: {error}") from None


def _restart(options: argparse.Namespace) -> RestartPolicy:
    found = lifeflags.restart_policy(options.restart)
    if found.name != "no" and getattr(options, "rm", False):
        raise Invalid("conflicting options: cannot specify both --restart and --rm")
    return found


def _refuse_foreign(options: argparse.Namespace) -> None:
    """What `--system` and `--explain` cannot be together with."""
    without = [wall for word in options.without for wall in word.split(",")]
    if options.system:
        for given, flag, why in (
            (options.init, "--init", "the root's own init is the first process"),
            (options.pid or "pid" in without, "--pid or --without pid",
             "an init must be process 1"),
            (options.cgroupns == "host" or "cgroup" in without, "--cgroupns or --without cgroup",
             "an init makes control groups below its own"),
            (options.runtime, "--runtime", "only Dockyard's own has a console for it"),
        ):  # fmt: skip
            if given:
                raise Conflict(f"conflicting options: --system and {flag}: {why}")
    if options.runtime and getattr(options, "explain", ""):
        raise Conflict("conflicting options: --explain and --runtime: the calls of another runtime "
                       "are its own; `strace -f` shows them")  # fmt: skip


def _refuse_conflicts(options: argparse.Namespace) -> None:
    _refuse_foreign(options)
    if options.gpus:
        raise Unsupported('could not select device driver "" with capabilities: [[gpu]]: '
                          "--gpus is not implemented; name the devices with --device")  # fmt: skip
    if options.platform:
        from dockyard.base.oci.platform import host_platform

        here = host_platform()
        if options.platform not in ("linux", f"linux/{here.architecture}", str(here)):
            raise Unsupported(f"--platform {options.platform}: not implemented; this machine runs "
                              f"linux/{here.architecture}")  # fmt: skip
    if options.userns not in ("", "host"):
        raise Unsupported(f"--userns {options.userns}: not implemented; host")
    options.attach = [stream.lower() for stream in options.attach]
    for stream in options.attach:
        if stream not in ("stdin", "stdout", "stderr"):
            raise Invalid(f"valid streams are STDIN, STDOUT and STDERR, not {stream!r}")
    if options.attach and getattr(options, "detach", False):
        raise Invalid("conflicting options: cannot specify both --attach and --detach")
    if options.network == "host" and options.publish:
        raise Invalid("conflicting options: port publishing and the host network mode: "
                      "the program's ports are the host's")  # fmt: skip
    if options.oom_score_adj is not None and not -1000 <= options.oom_score_adj <= 1000:
        raise Invalid(f"Invalid value {options.oom_score_adj}, range for oom score adj is "
                      "[-1000, 1000]")  # fmt: skip


def _runtime(name: str) -> str:
    """The program of a runtime that is named, or whose path is given."""
    if name in ("", "dockyard"):
        return ""
    folders = os.environ.get("PATH", os.defpath).split(":")
    candidates = [name] if "/" in name else [os.path.join(folder, name) for folder in folders]
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise Invalid(f"Unknown runtime specified {name}: no such program; runc, crun or a path")


def _entrypoint(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return (text,) if text else ()


def _group(text: str) -> int:
    if int(text) >= 2**32 - 1:
        raise Invalid(f"--group-add {text}: not a group's number")
    return int(text)


DEVICE_FLAGS = ("ulimit", "device", "device_cgroup_rule", "blkio_weight_device", "device_read_bps",
                "device_read_iops", "device_write_bps", "device_write_iops")  # fmt: skip


def _with_devices(config: ContainerConfig, options: argparse.Namespace) -> ContainerConfig:
    if not any(getattr(options, name) for name in DEVICE_FLAGS):
        return config
    from dockyard.cli import deviceflags

    limits = config.resources._replace(blkio_devices=deviceflags.limits(options))
    return config._replace(
        ulimits=deviceflags.ulimits(options.ulimit),
        devices=deviceflags.devices(options.device),
        device_rules=deviceflags.rules(options.device_cgroup_rule),
        resources=limits,
    )


def _address(options: argparse.Namespace) -> str:
    if not options.ip:
        return ""
    import ipaddress

    try:
        ipaddress.IPv4Address(options.ip)
    except ValueError:
        raise Invalid(f"invalid IPv4 address: {options.ip}") from None
    name = options.network
    if name in ("default", "bridge", "none", "host") or name.startswith("container:"):
        raise Invalid(f"invalid config for network {name}: invalid endpoint settings: user "
                      "specified IP address is supported on user defined networks "
                      "only")  # fmt: skip
    return str(options.ip)


def _published(words: list[str]) -> tuple[PortSpec, ...]:
    if not words:
        return ()
    from dockyard.cli.portflags import ports

    return tuple(port for text in words for port in ports(text))


def _exposed(words: list[str]) -> tuple[str, ...]:
    from dockyard.node.engine.effective import exposed

    return tuple(port for text in words for port in exposed(text))


def _joined(options: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    found = []
    for kind in ("ipc", "pid", "uts"):
        mode = getattr(options, kind)
        if mode in ("", "private"):
            continue
        other = mode.removeprefix("container:")
        if mode != "host" and (other == mode or not other or kind == "uts"):
            raise Invalid(f"--{kind} {mode}: invalid {kind.upper()} mode")
        found.append((kind, other))
    if options.cgroupns == "host":
        found.append(("cgroup", "host"))
    return tuple(found)


def _grace(options: argparse.Namespace) -> int:
    """systemd waits 90 seconds for a service that does not end: systemd-system.conf(5)."""
    if options.stop_timeout is None:
        return SYSTEM_GRACE if options.system else GRACE
    return int(options.stop_timeout)


def _signal(text: str) -> str:
    if text:
        from dockyard.node.engine.end import signal_number

        signal_number(text)
    return text


def _resources(options: argparse.Namespace) -> Resources:
    found = limitflags.resources(options)
    if found.memory_swap and not found.memory:
        raise Invalid("You should always set the Memory limit when using Memoryswap limit, see "
                      "usage")  # fmt: skip
    swappiness = options.memory_swappiness
    if not -1 <= swappiness <= 100:
        raise Invalid(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    return found._replace(swappiness=swappiness, oom_kill_disable=options.oom_kill_disable)

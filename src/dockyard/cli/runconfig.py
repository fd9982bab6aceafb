"""Turns the flags of ``run`` and ``create`` into a container's configuration. Pure, but for files
of variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli import envflags, mountflags
from dockyard.cli.common import size
from dockyard.node.engine.config import ContainerConfig, PortSpec, Resources

if TYPE_CHECKING:
    import argparse

SMALLEST_MEMORY = 6 * 1024 * 1024
"""Docker's: less does not start a program."""
GRACE, SYSTEM_GRACE = 10, 90
"""Seconds between what asks a container to end and what ends it."""


def config(options: argparse.Namespace, verb: str) -> ContainerConfig:
    """The configuration that the flags describe."""
    words = options.words
    if not options.rootfs:
        if not words:
            raise Invalid(
                f'"dockyard {verb}" requires at least 1 argument: an image, or --rootfs; '
                f"see `dockyard {verb} --help`"
            )
        image, words = words[0], words[1:]
    else:
        image = ""
    if options.restart != "no":
        raise Unsupported(f"--restart {options.restart}: restart policies are not implemented")
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
        groups=tuple(_group(text) for text in options.group_add),
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
        security_opt=tuple(options.security_opt),
        sysctls=envflags.pairs(options.sysctl),
        join=_joined(options),
        oom_score_adj=options.oom_score_adj,
        stop_signal=_signal(options.stop_signal),
        stop_timeout=_grace(options),
    )
    if options.without:
        from dockyard.cli.walls import leave_out

        found = leave_out(found, options.without)
    return found


def _refuse_conflicts(options: argparse.Namespace) -> None:
    if options.network == "host" and options.publish:
        raise Invalid("conflicting options: port publishing and the host network mode: "
                      "the program's ports are the host's")  # fmt: skip
    if options.cpus and (options.cpu_period or options.cpu_quota):
        raise Invalid("conflicting options: --cpus and --cpu-period or --cpu-quota")
    if options.oom_score_adj is not None and not -1000 <= options.oom_score_adj <= 1000:
        raise Invalid(f"Invalid value {options.oom_score_adj}, range for oom score adj is "
                      "[-1000, 1000]")  # fmt: skip


def _entrypoint(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return (text,) if text else ()


def _group(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32 - 1:
        raise Invalid(f"--group-add {text}: not a number; names are not implemented")
    return int(text)


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
    memory = size(options.memory) if options.memory else 0
    if options.memory and memory < SMALLEST_MEMORY:
        raise Invalid("Minimum memory limit allowed is 6MB")
    swap = 0
    if options.memory_swap:
        swap = -1 if options.memory_swap == "-1" else size(options.memory_swap)
        if not memory:
            raise Invalid("You should always set the Memory limit when using Memoryswap limit")
        if 0 <= swap < memory:
            raise Invalid("Minimum memoryswap limit should be larger than memory limit")
    return Resources(
        memory=memory,
        memory_swap=swap,
        memory_reservation=size(options.memory_reservation) if options.memory_reservation else 0,
        nano_cpus=_nano_cpus(options.cpus),
        cpu_shares=options.cpu_shares,
        cpu_period=options.cpu_period,
        cpu_quota=options.cpu_quota,
        cpuset=options.cpuset_cpus,
        pids=options.pids_limit,
    )


def _nano_cpus(text: str) -> int:
    if not text:
        return 0
    import os

    most = os.cpu_count() or 1
    try:
        found = int(float(text) * 1_000_000_000)
    except (ValueError, OverflowError):
        raise Invalid(f"invalid value for --cpus: {text}: a number of processors") from None
    if not 10_000_000 <= found <= most * 1_000_000_000:
        raise Invalid(f"Range of CPUs is from 0.01 to {most}.00, as there are only {most} CPUs "
                      "available")  # fmt: skip
    return found

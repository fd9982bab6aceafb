"""Turns the flags of ``run`` and ``create`` into a container's configuration. Pure, but for files
of variables."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid
from dockyard.cli import (
    envflags,
    lifeflags,
    limitflags,
    modes,
    mountflags,
    netflags,
    runrefusals,
)
from dockyard.cli.common import size
from dockyard.node.engine.config import ContainerConfig, MountSpec, Resources, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

IPC_SYSCTLS = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
               "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced")  # fmt: skip
GRACE, SYSTEM_GRACE = 10, 90
"""Seconds between what asks a container to end and what ends it."""


def config(options: argparse.Namespace) -> ContainerConfig:
    """The configuration that the flags describe."""
    words = options.words
    if not options.rootfs:
        image, words = words[0], words[1:]
    else:
        image = ""
    runrefusals.refuse(options)
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
            *_in_words(options.mount),
            *map(mountflags.tmpfs, options.tmpfs),
        ),
        shm_bytes=size(options.shm_size, "--shm-size") if options.shm_size else 0,
        **netflags.place(options),
        resources=_resources(options),
        read_only=options.read_only,
        privileged=options.privileged,
        cap_add=tuple(options.cap_add),
        cap_drop=tuple(options.cap_drop),
        security_opt=tuple(map(_security, options.security_opt)),
        sysctls=_sysctls(options.sysctl),
        join=modes.joined(options),
        no_shm=options.ipc == "none",
        cgroup_parent=_group_parent(options.cgroup_parent),
        oom_score_adj=options.oom_score_adj,
        stop_signal=_signal(options.stop_signal),
        stop_timeout=_grace(options),
        restart=_restart(options),
        health=lifeflags.health(options),
        log=lifeflags.log(options),
        domainname=options.domainname,
        annotations=envflags.pairs(options.annotation, flag="--annotation"),
        init=options.init,
        runtime=_runtime(options.runtime),
    )
    found = _with_devices(found, options)
    if options.without:
        from dockyard.cli.walls import leave_out

        found = leave_out(found, options.without, root=os.geteuid() == 0)
    return found


def _in_words(words: list[str]) -> tuple[MountSpec, ...]:
    if not words:
        return ()
    from dockyard.cli.mountwords import mount

    return tuple(map(mount, words))


def _group_parent(text: str) -> str:
    parts = text.strip("/").split("/")
    if text and (not text.strip("/") or any(part in ("", ".", "..") for part in parts)):
        raise Invalid(f"--cgroup-parent {text}: not a path of control groups")
    return text


def _sysctls(words: list[str]) -> tuple[tuple[str, str], ...]:
    """Only what belongs to a container's namespaces."""
    for word in words:
        name, equals, _ = word.partition("=")
        known = name in IPC_SYSCTLS or name.startswith(("net.", "fs.mqueue."))
        if not equals or not known:
            raise Invalid(f'invalid argument "{word}" for "--sysctl" flag: sysctl '
                          f"'{word}' is not allowed")  # fmt: skip
    return envflags.pairs(words, flag="--sysctl")


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
        reason = str(error.strerror).lower()
        raise Invalid(f"opening seccomp profile ({value}) failed: open {value}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"compacting json for seccomp profile ({value}) failed: {error}") from None


def _restart(options: argparse.Namespace) -> RestartPolicy:
    found = lifeflags.restart_policy(options.restart)
    if found.name != "no" and getattr(options, "rm", False):
        raise Invalid("conflicting options: cannot specify both --restart and --rm")
    return found


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
    if len(text) > 10 or int(text) >= 2**32 - 1:
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
        raise Invalid(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    if found.memory and not found.memory_swap:
        from dockyard.base.linux import cgroupfs

        if os.geteuid() == 0 and cgroupfs.counts_swap():  # as much swap as memory: Docker's default
            found = found._replace(memory_swap=2 * found.memory)
    return found._replace(swappiness=swappiness, oom_kill_disable=options.oom_kill_disable)

"""Turns a container's configuration into that of a whole system: an init, and what it expects.

In the manner of LXC. The init is found in the root; it gets a console, fresh /run and /tmp, a part
of the cgroup tree that it may write to, and the signal by which it shuts down. Sources: systemd's
CONTAINER_INTERFACE, systemd(1), busybox's init.c, init(8) of sysvinit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from dockyard.base.errors import NotFound
from dockyard.base.linux import cgroupfs
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.engine.config import ContainerConfig, MountSpec

CANDIDATES = ("/sbin/init", "/usr/sbin/init", "/etc/init", "/bin/init", "/init",
              "/lib/systemd/systemd", "/usr/lib/systemd/systemd")  # fmt: skip
"""Where an init may be: the kernel's own list (init/main.c) and where systemd has its program."""
SIGNALS = {"systemd": "SIGRTMIN+3", "busybox": "SIGUSR2", "init": "SIGPWR"}
"""Program -> what makes it shut the system down. Others: SIGTERM."""
OTHERS = "SIGTERM"
VARIABLE = "container=dockyard"
"""systemd and others look for it: no hardware is theirs, and /proc/sys is not either."""
TMPFS = (
    ("/run", ("exec", "nosuid", "nodev", "mode=755")),
    ("/run/lock", ("nosuid", "nodev", "noexec", "mode=1777", "size=5242880")),
    ("/tmp", ("exec", "nosuid", "nodev", "mode=1777")),  # noqa: S108 - a path in the container
)
USUAL = "/sys/fs/cgroup"
NAMED = "name=systemd"
"""Of cgroup v1: the hierarchy without a controller."""
BUSYBOX = b"BusyBox v"
LARGEST = 8 * 1024 * 1024


def boot(config: ContainerConfig, layers: Sequence[str]) -> ContainerConfig:
    """What a system container has in the end; what the caller said wins. ``layers``: topmost first.

    Raises :class:`NotFound` where the root has no init and no command was given.
    """
    command = (*(config.entrypoint or ()), *config.command) or (find_init(layers),)
    names = {entry.partition("=")[0] for entry in config.env}
    covered = {os.path.normpath(mount.target) for mount in config.mounts}
    return config._replace(
        entrypoint=(),
        command=command,
        env=config.env if "container" in names else (*config.env, VARIABLE),
        terminal=True,
        mounts=(
            *config.mounts,
            *(MountSpec("tmpfs", "", target, options=options) for target, options in TMPFS
              if target not in covered),
        ),
        stop_signal=config.stop_signal or SIGNALS.get(kind_of(layers, command[0]), OTHERS),
    )  # fmt: skip


def find_init(layers: Sequence[str]) -> str:
    """The first program of the root that is an init's."""
    for path in CANDIDATES:
        if _program(layers, path):
            return path
    raise NotFound(
        f"--system: the root has no init ({', '.join(CANDIDATES[:5])}); name a command, or install "
        "one: `ln -s /bin/busybox sbin/init`, or Debian's package systemd-sysv"
    )


def kind_of(layers: Sequence[str], path: str) -> str:
    """``systemd``, ``busybox``, or the program's own name."""
    name, head = _program(layers, path) or (os.path.basename(path), b"")
    return "busybox" if BUSYBOX in head else name


def _program(layers: Sequence[str], path: str) -> tuple[str, bytes] | None:
    """The name of the file that a path leads to in the merged tree, and the file's beginning.

    A link may lead from one layer into another: where it goes is looked up from the top again.
    """
    for _ in range(10):
        for layer in layers:
            found = _look(layer, path)
            if isinstance(found, str):
                path = found
                break
            if found is not None:
                return os.path.basename(path), found
        else:
            return None
    return None


def _look(layer: str, path: str) -> bytes | str | None:
    """A file's beginning, or where a link leads; None: this layer has no such file."""
    root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            target = os.readlink("", dir_fd=found)
            return os.path.normpath(os.path.join(os.path.dirname(path), target))
        except OSError:  # it is no link
            pass
        finally:
            os.close(found)
        file = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with open(file, "rb") as opened:
            return opened.read(LARGEST)
    except OSError:  # nothing there, or no plain file
        return None
    finally:
        os.close(root)


class Groups(NamedTuple):
    """How a system container's part of the cgroup tree becomes its own."""

    binds: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(source, target, options) of what is laid over the usual mount."""
    writable: bool
    """Whether the usual mount is what it may write to."""
    resources: dict[str, Any]
    """What makes the runtime make the group that is bound."""


def groups(cgroup: str, layout: cgroupfs.Layout) -> Groups:
    """An init makes groups to keep its services apart: it gets a tree without limits of its own.

    Version 2 where it is mounted: every systemd since 2015 can live in it, and since 258 in nothing
    else. Beside version 1 it has no controllers: limits stay where the container cannot write. With
    version 1 alone it is the hierarchy without a controller, beside those that stay read-only.
    """
    hard = ("bind", "rprivate", "nosuid", "nodev", "noexec")
    if layout.pure:
        return Groups((), True, {})
    if layout.v2:
        depth = {"unified": {"cgroup.max.depth": "max"}}
        return Groups(((f"{layout.v2}/{cgroup}", USUAL, hard),), False, depth)
    if place := layout.v1.get(NAMED):
        return Groups(((f"{place}/{cgroup}", f"{USUAL}/systemd", hard),), False, {})
    return Groups((), False, {})

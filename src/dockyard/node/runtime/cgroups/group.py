"""Turns a container's group path and resources into groups of every hierarchy, and back.

In a hybrid layout a group of the unified hierarchy is made for a container that has a limit there,
and for whoever asks for it: to join it may take milliseconds (:func:`join`).
"""

from __future__ import annotations

import errno
import os

from dockyard.base import contexts
from dockyard.base.errors import Conflict, Denied, DockyardError, Invalid, NotFound, Unsupported
from dockyard.base.later import Later
from dockyard.base.linux import cgroupfs, signals
from dockyard.base.linux.door import through
from dockyard.base.remembered import remembered
from dockyard.node.runtime.cgroups import freezer, light, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups import limits
else:  # who joins a group, or removes one, needs no controller
    limits = Later("dockyard.node.runtime.cgroups", "limits")

REMOVE_SECONDS = 5.0
OURS = "dockyard"
"""Below which each instance has its containers'."""
MONITORS = "monitors"
"""A group of version 2 with groups below it holds no processes itself: monitors live beside their
containers."""


def checked(path: str) -> str:
    """The path without its outer slashes, below what is delegated to this user. The root of a
    hierarchy is never a container's: it holds every process of the machine."""
    parts = path.strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"cgroup: {path!r}: climbs, or names the root; a container needs its own")
    return cgroupfs.below(path)


def there(path: str) -> str:
    """The same, of a group that there is."""
    path = checked(path)
    if any(os.path.isdir(folder) for folder in cgroupfs.folders(path)):
        return path
    if os.geteuid() != 0 and not cgroupfs.delegated():
        raise Denied(f"cgroup: {path}: no control group is delegated to this user: there are no "
                     "limits, pauses and statistics without; see `systemd-run --user --scope`, on "
                     "cgroup v2")  # fmt: skip
    raise NotFound(f"cgroup: {path}: there is no such container any more")


# making


def create(
    path: str, resources: Mapping[str, Any], placeholder: int = 0, *, everywhere: bool = False
) -> str:
    """Make the group and write its limits. If one cannot be set it raises, and the group goes.

    Returns what the other verbs take: the path, or nothing for an ordinary user to whom no group
    is delegated and who asks for no limits. ``placeholder``: a process that may be in it already.
    ``everywhere``: in the unified hierarchy too where nothing is limited there, as runc does.
    """
    path = checked(path)
    layout = cgroupfs.layout()
    if not layout.v1 and not layout.v2:
        raise Unsupported("cgroup: no hierarchy is mounted; mount cgroup2 on /sys/fs/cgroup")
    check_free(path, placeholder)
    wanted = {"devices": [], **resources}
    try:
        for root in layout.roots:
            tree.make_v1(root, path)
        unified = everywhere and bool(layout.v2)
        refused = tree.make_v2(path) if unified or limits.need_v2(wanted) else {}
        limits.apply(limits.plan(path, wanted, refused), undone=False)
        limits.gate(path, wanted)
        _doors.cache_clear()
        _doors(path)
    except BaseException as error:
        with contexts.suppress(DockyardError, OSError):  # the caller hears of what came first
            tree.remove(path, REMOVE_SECONDS)
        if not isinstance(error, PermissionError) or os.geteuid() == 0:
            raise
        if asked := [name for name in resources if name != "devices" and resources[name]]:
            raise Denied(
                f"cgroup: {path}: {', '.join(asked)}: no group is delegated to this user: {error}"
            ) from error
        return ""
    return path


def check_free(path: str, placeholder: int = 0) -> None:
    """That nobody lives in a group which a container is to have, and that it is not frozen."""
    if found := [pid for pid in pids(path) if pid != placeholder]:
        raise Conflict(f"cgroup: {path}: it is in use by processes {found[:10]}")
    if freezer.would_stop(path):
        raise Conflict(f"cgroup: {path}: it is frozen: what is started in it would stand still")


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Write other limits to a group that is there. If one cannot be set, none has changed."""
    path = there(path)
    limits.apply(limits.plan(path, resources, None), undone=True)
    limits.gate(path, resources)


# living in it


def cradle(path: str) -> int:
    """A descriptor of the group in version 2, for who forks into it: a process that is born there
    need not move there, see :func:`join`. -1: there is none."""
    layout = cgroupfs.layout()
    if not path or not layout.v2:
        return -1
    try:
        return os.open(f"{layout.v2}/{checked(path)}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def join(path: str, *, born: bool = False) -> None:
    """Put this process, which has one thread, into the group; no path is no group. ``born``: in
    version 2 it is there.

    ``0`` into ``tasks``: a process that moves itself alone takes no lock of the whole machine,
    whose writers wait for an RCU grace period (milliseconds), as a write to ``cgroup.procs`` does.
    A fork copies what it touches: so this touches little.
    """
    if not path:
        return
    for file in _doors(path):
        if born and file.endswith("/cgroup.procs"):
            continue
        descriptor = through("openat", os.open, file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            through("write", os.write, descriptor, b"0")
        except OSError as error:
            inner = _folder_of_init(os.path.dirname(file)) if error.errno == errno.EBUSY else ""
            if not inner:
                raise OSError(error.errno, f"cgroup: {file}: 0: {error.strerror}") from error
            cgroupfs.write(f"{inner}/cgroup.procs", "0")
        finally:
            os.close(descriptor)


@remembered(4)
def _doors(path: str) -> tuple[str, ...]:
    """The files that a process of the group writes itself into."""
    path, layout = checked(path), cgroupfs.layout()
    second = f"{layout.v2}/{path}"
    doors = [f"{root}/{path}/tasks" for root in layout.roots]
    if layout.pure or (layout.v2 and os.path.isdir(second)):
        doors.append(f"{second}/cgroup.procs")
    return tuple(doors)


def _folder_of_init(folder: str) -> str:
    """Where an init lives that has made groups of its own: version 2 wants processes in the
    innermost ones only. Process 1, as the container's pid namespace has it; where the container
    has none, whoever comes first."""
    found = ""
    for inner in cgroupfs.subgroups(folder):
        listed = cgroupfs.words(f"{inner}/cgroup.procs")
        deeper = _folder_of_init(inner)
        if "1" in listed:
            return inner
        if deeper and "1" in cgroupfs.words(f"{deeper}/cgroup.procs"):
            return deeper
        found = found or (inner if listed else deeper)
    return found


def home(path: str) -> tuple[str, tuple[str, ...]]:
    """A group for the monitor of a container of this group, which is there: one above containers',
    and the files by which a process enters it; none where this process is in such a group."""
    if not path:
        return "", ()
    layout, above = cgroupfs.layout(), os.path.dirname(path.strip("/"))
    if not above:  # a hierarchy's root: it is no group of ours, and nothing is to be removed
        roots = (
            [f"{layout.v2}/cgroup.procs"] if layout.pure else [f"{r}/tasks" for r in layout.roots]
        )
        return "", tuple(roots)
    path = checked(above)
    if layout.pure:
        path = f"{path}/{MONITORS}"
    with open("/proc/self/cgroup") as file:
        if any(line.rstrip("\n").endswith(f":/{path}") for line in file):
            return path, ()
    if layout.pure:
        tree.make_v2(path)
        return path, (f"{layout.v2}/{path}/cgroup.procs",)
    # beside version 1, version 2 may have groups of some containers
    return path, tuple(f"{root}/{path}/tasks" for root in layout.roots)


def leave(path: str) -> None:
    """Take this process, which is about to end, out of a group, and remove that if it is empty."""
    if not path:
        return
    layout, above = cgroupfs.layout(), checked(path)
    for root in layout.roots:
        cgroupfs.write(f"{root}/tasks", "0")
        with contexts.suppress(OSError):  # others live there
            os.rmdir(f"{root}/{above}")
    if layout.pure:
        delegated = cgroupfs.delegated()
        if delegated:  # it passes controllers on, and holds no process then
            delegated = _leaf(f"{layout.v2}/{delegated}", layout.v2) or delegated
        cgroupfs.write(f"{layout.v2}/{delegated}/cgroup.procs", "0")
        with contexts.suppress(OSError):
            os.rmdir(f"{layout.v2}/{above}")
            os.rmdir(os.path.dirname(f"{layout.v2}/{above}"))
    elif layout.v2 and os.path.isdir(f"{layout.v2}/{above}"):  # another runtime has made it
        with contexts.suppress(OSError):
            cgroupfs.write(f"{layout.v2}/cgroup.procs", "0")
            os.rmdir(f"{layout.v2}/{above}")


def _leaf(folder: str, root: str) -> str:
    """A group of this user's that may hold processes, is not stopped and none of ours; empty where
    there is none (systemd has one always)."""
    inner = sorted(cgroupfs.subgroups(folder))
    if not inner:
        usable = os.access(f"{folder}/cgroup.procs", os.W_OK) and not light.says_frozen(
            f"{folder}/cgroup.freeze"
        )
        return folder.removeprefix(f"{root}/") if usable else ""
    groups = (_leaf(each, root) for each in inner if os.path.basename(each) != OURS)
    return next(filter(None, groups), "")


def signal_all(path: str, number: int) -> None:
    """Send a signal to every process of the group."""
    if number == signals.SIGKILL:
        for folder in cgroupfs.folders(checked(path)):
            tree.kill(folder, checked(path))
        return
    for pid in pids(path):
        with contexts.suppress(ProcessLookupError):
            os.kill(pid, number)


def pids(path: str) -> list[int]:
    """Every process of the group and of those below it."""
    path, layout = checked(path), cgroupfs.layout()
    for name in ("pids", "freezer", "memory"):
        if name in layout.v1:
            return cgroupfs.pids(f"{layout.v1[name]}/{path}")
    return cgroupfs.pids(f"{layout.v2}/{path}") if layout.v2 else []


def oom_file(path: str) -> str:
    """The file that counts processes which the kernel has killed because the group had no memory
    left: see :mod:`.light`."""
    folder = cgroupfs.folder("memory", checked(path))
    file = "memory.oom_control" if "memory" in cgroupfs.layout().v1 else "memory.events"
    return f"{folder}/{file}" if folder else ""


def folders(path: str) -> tuple[tuple[str, str], ...]:
    """The group's folders, there or not, each with the one above; empty: that is a root."""
    path = checked(path)
    above = os.path.dirname(path)
    return tuple(
        (folder, os.path.dirname(folder) if above else "") for folder in cgroupfs.folders(path)
    )


def freeze(path: str, frozen: bool) -> None:
    """Stop or resume every process of the group."""
    (freezer.freeze if frozen else freezer.thaw)(there(path))


def is_frozen(path: str) -> bool:
    """Whether the group is stopped."""
    return bool(path) and freezer.is_frozen(checked(path))


def remove(path: str) -> None:
    """End what is in the group and remove it from every hierarchy; one that is gone is fine.

    The group above it goes too, if it holds nothing any more.
    """
    tree.remove(checked(path), REMOVE_SECONDS)

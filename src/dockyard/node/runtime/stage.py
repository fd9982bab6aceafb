"""Turns a fork into two: one that enters user, pid and time namespaces, and its child in them.

A pid or a time namespace holds only those born after it was made, and a container's has to belong
to its user namespace. The first process ends; the second is its sibling, a child of whoever forked
the first, and goes on as the container's init, or as a command in it.
"""

from __future__ import annotations

import os
from _socket import socket as Plain

from dockyard.base.linux import processes, syscalls
from dockyard.base.linux.door import last, through
from dockyard.base.oci.runtimespec import Spec
from dockyard.interfaces.ociruntime import Overlay
from dockyard.node.runtime import bindtrees, confine, rootfs
from dockyard.node.runtime.messages import FLAGS, GO, MAP, PID


def enter(spec: Spec, overlay: Overlay | None, sync: Plain) -> dict[int, int]:
    """For a new container. Returns in its init only: trees that are made already, of its bind
    mounts and of its root."""
    how = os.O_RDONLY | os.O_CLOEXEC
    joined = {
        kind: through("openat", os.open, path, how)
        for kind, path in spec.namespaces.items()
        if path
    }
    if "mount" in joined:
        from dockyard.node.runtime import strangers

        strangers.check(joined["mount"], spec.namespaces["mount"] or "")
    trees = {}
    if "user" in spec.namespaces:
        confine.raise_limits(spec.process)
        if os.geteuid() == 0:
            user = joined.get("user", -1)
            if "mount" in joined:  # sources and the root are looked up there, as with both peers
                syscalls.setns(joined["mount"], FLAGS["mount"])
            trees = bindtrees.prepare(spec, everyone=True, joined=user)
            trees[rootfs.ROOT] = rootfs.prepare(spec, overlay, user)
    clocks = _open_clocks() if spec.offsets else -1
    later = [kind for kind in joined if kind != "user" and not _join(kind, joined[kind])]
    if "user" in spec.namespaces:
        _enter_user_namespace(joined.get("user"), sync)
    for kind in later:
        syscalls.setns(joined[kind], FLAGS[kind])
    for descriptor in joined.values():
        os.close(descriptor)
    fresh = sum(
        FLAGS[kind]
        for kind in ("pid", "time")
        if kind in spec.namespaces and not spec.namespaces[kind]
    )
    if fresh:
        syscalls.unshare(fresh)
    if spec.offsets:
        _set_clocks(clocks, spec.offsets)
    go_on_as_sibling(sync)
    return trees


def _join(kind: str, descriptor: int) -> bool:
    """Whether this process may. What belongs to the user namespace is joined from inside."""
    try:
        syscalls.setns(descriptor, FLAGS[kind])
    except PermissionError:
        return False
    return True


def _enter_user_namespace(descriptor: int | None, sync: Plain) -> None:
    if descriptor is not None:
        syscalls.setns(descriptor, syscalls.CLONE_NEWUSER)
    else:
        ordinary = os.geteuid() != 0
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        if ordinary:  # newuidmap(1) wants to see whose process this is
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        ask(sync, MAP)
        if ordinary:
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    confine.become_root()


def ask(sync: Plain, message: bytes) -> None:
    """Wait until the parent has done something. It is gone, or has refused: so is this process."""
    sync.send(message)
    if sync.recv(len(GO)) != GO:
        os._exit(1)


def _open_clocks() -> int:
    """Of this process, which is not to be looked at otherwise."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    try:
        return os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
    finally:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


def _set_clocks(descriptor: int, offsets: dict[str, tuple[int, int]]) -> None:
    """time_namespaces(7): before the first process is born in it."""
    text = "".join(f"{clock} {at[0]} {at[1]}\n" for clock, at in offsets.items())
    try:
        through("write", os.write, descriptor, text.encode())
    except OSError as error:
        shown = text.strip().replace("\n", ", ")
        raise type(error)(error.errno, f"timeOffsets: {shown}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def go_on_as_sibling(sync: Plain) -> None:
    """Returns in a new process, of a session of its own; this one says who it is, and ends."""
    forked = processes.clone3(processes.CLONE_PARENT)
    if forked.pid:
        sync.send(PID + str(forked.pid).encode())
        last("exit_group", os._exit, 0)
    through("setsid", os.setsid)

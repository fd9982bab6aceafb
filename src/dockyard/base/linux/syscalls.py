"""Turns kernel calls that every container needs into functions that raise ``OSError``.

Each goes through :mod:`..door`; an error names the call and its arguments. Constants are those of
the kernel's headers; each function names its manual page. Rarer calls have files of their own.
"""

import os

from dockyard.base.linux import cloneflags, foreign
from dockyard.base.linux.door import Bits, call, through

CLONE_NEWCGROUP = cloneflags.CLONE_NEWCGROUP
CLONE_NEWIPC = cloneflags.CLONE_NEWIPC
CLONE_NEWNET = cloneflags.CLONE_NEWNET
CLONE_NEWNS = cloneflags.CLONE_NEWNS
CLONE_NEWPID = cloneflags.CLONE_NEWPID
CLONE_NEWTIME = cloneflags.CLONE_NEWTIME
CLONE_NEWUSER = cloneflags.CLONE_NEWUSER
CLONE_NEWUTS = cloneflags.CLONE_NEWUTS

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

KEYCTL_JOIN_SESSION_KEYRING = 1

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_TIMES = 0x70
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_BY_DESCRIPTORS = 0x04 | 0x40


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: unshare(2)."""
    call("unshare", Bits(flags))


def setns(descriptor: int, flags: int) -> None:
    """Join the namespace of a descriptor, or several of a pidfd: setns(2)."""
    call("setns", descriptor, Bits(flags))


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    """mount(2). ``target`` may be ``/proc/self/fd/N`` of a directory that was opened safely."""
    call("mount", source, target, kind, Bits(flags), data)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    call("umount2", target, Bits(flags))


def clone_tree(source: str | int, *, recursive: bool) -> int:
    """A copy of a mount, of a path or a descriptor, that lies nowhere yet: open_tree(2), Linux 5.2.

    It ends with its descriptor unless it is put somewhere.
    """
    folder, path = (_AT_FDCWD, source) if isinstance(source, str) else (source, "")
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    flags |= 0 if path else _AT_EMPTY_PATH
    return call("open_tree", folder, path, Bits(flags))


def put_tree(tree: int, target: int) -> None:
    """Mount what :func:`clone_tree` made on a descriptor's file: move_mount(2), Linux 5.2."""
    call("move_mount", tree, "", target, "", Bits(_MOVE_MOUNT_BY_DESCRIPTORS))


def put_copy(source: str | int, target: int, *, recursive: bool, add: int = 0) -> None:
    """Mount what lies at a path or descriptor on a descriptor's file too, with further attributes
    (``MOUNT_ATTR_*``)."""
    tree = clone_tree(source, recursive=recursive)
    try:
        if add:
            set_mount(tree, add=add)
        put_tree(tree, target)
    finally:
        os.close(tree)


class MountAttributes(foreign.Structure):
    """``struct mount_attr`` of mount_setattr(2)."""

    _fields_ = [(name, foreign.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def set_mount(
    mounted: int, *, add: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False
) -> None:
    """Change attributes (``MOUNT_ATTR_*``) of a descriptor's mount: mount_setattr(2), Linux 5.12.

    ``propagation`` is ``MS_PRIVATE`` or the like.
    """
    attributes = MountAttributes(add, clear, propagation, 0)
    flags = Bits(_AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0))
    call("mount_setattr", mounted, "", flags, attributes, foreign.sizeof(attributes))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    call("pivot_root", new_root, put_old)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2); missing arguments are zero."""
    return call("prctl", option, *(*arguments, 0, 0, 0, 0)[:4])


def sethostname(name: str) -> None:
    """sethostname(2)."""
    call("sethostname", name, len(name.encode()))


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    call("setdomainname", name, len(name.encode()))


def join_session_keyring(name: str) -> None:
    """A session keyring of its own, so that keys of the host are out of reach: keyctl(2)."""
    call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, name)


def pidfd_open(pid: int) -> int:
    """A descriptor of a process that no reuse of its pid can move: pidfd_open(2)."""
    return through("pidfd_open", os.pidfd_open, pid)


def pidfd_send_signal(pidfd: int, signal_number: int) -> None:
    """pidfd_send_signal(2)."""
    call("pidfd_send_signal", pidfd, signal_number, None, 0)


def close_range(first: int, last: int = 0xFFFFFFFF, cloexec: bool = False) -> None:
    """Close descriptors, or mark them close-on-exec: close_range(2), Linux 5.9."""
    call("close_range", first, last, Bits(4 if cloexec else 0))

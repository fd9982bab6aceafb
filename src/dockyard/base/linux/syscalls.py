"""Turns kernel calls that Python does not have into functions that raise ``OSError``.

ctypes on libc, nothing else. An error names the call and its arguments. Constants are those of the
kernel's headers; each function names its manual page.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

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

# System call numbers that are the same on every architecture (they came after 5.0), and the few
# that are not, by machine.
SYS_PIDFD_SEND_SIGNAL = 424
SYS_PIDFD_OPEN = 434
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_CLOSE_RANGE = 436
SYS_MOUNT_SETATTR = 442
_BY_MACHINE = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "seccomp": 277},
}


def number(name: str) -> int:
    """The number of a system call on this machine."""
    machine = os.uname().machine
    try:
        return _BY_MACHINE[machine][name]
    except KeyError:
        raise OSError(38, f"{name}: not known on {machine}") from None


def fail(call: str, *arguments: object) -> OSError:
    """The error that the last call left in errno, naming the call and its arguments."""
    code = ctypes.get_errno()
    shown = ", ".join(str(argument) for argument in arguments)
    return OSError(code, f"{call}({shown}): {os.strerror(code)}")


def syscall(name: str, call: int, *arguments: object) -> int:
    """Any system call; integers are passed as longs."""
    packed = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = int(_libc.syscall(ctypes.c_long(call), *packed))
    if result < 0:
        raise fail(name, *arguments)
    return result


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: unshare(2)."""
    if _libc.unshare(ctypes.c_int(flags)):
        raise fail("unshare", hex(flags))


def setns(descriptor: int, flags: int) -> None:
    """Join the namespace of a descriptor, or several of a pidfd: setns(2)."""
    if _libc.setns(ctypes.c_int(descriptor), ctypes.c_int(flags)):
        raise fail("setns", descriptor, hex(flags))


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    """mount(2). ``target`` may be ``/proc/self/fd/N`` of a directory that was opened safely."""
    result = _libc.mount(
        source and os.fsencode(source),
        os.fsencode(target),
        kind and kind.encode(),
        ctypes.c_ulong(flags),
        data and os.fsencode(data),
    )
    if result:
        raise fail("mount", source, target, kind, hex(flags), data)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(os.fsencode(target), ctypes.c_int(flags)):
        raise fail("umount2", target, flags)


def clone_tree(source: str | int, *, recursive: bool) -> int:
    """A copy of a mount, of a path or a descriptor, that lies nowhere yet: open_tree(2), Linux 5.2.

    It ends with its descriptor unless it is put somewhere.
    """
    folder, path = (_AT_FDCWD, os.fsencode(source)) if isinstance(source, str) else (source, b"")
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    flags |= 0 if path else _AT_EMPTY_PATH
    return syscall("open_tree", SYS_OPEN_TREE, folder, path, flags)


def put_tree(tree: int, target: int) -> None:
    """Mount what :func:`clone_tree` made on a descriptor's file: move_mount(2), Linux 5.2."""
    syscall("move_mount", SYS_MOVE_MOUNT, tree, b"", target, b"", _MOVE_MOUNT_BY_DESCRIPTORS)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def set_mount(
    mounted: int, *, add: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False
) -> None:
    """Change attributes (``MOUNT_ATTR_*``) of a descriptor's mount: mount_setattr(2), Linux 5.12.

    ``propagation`` is ``MS_PRIVATE`` or the like.
    """
    attributes = _MountAttributes(add, clear, propagation, 0)
    size = ctypes.sizeof(attributes)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    pointer = ctypes.byref(attributes)
    syscall("mount_setattr", SYS_MOUNT_SETATTR, mounted, b"", flags, pointer, size)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    syscall("pivot_root", number("pivot_root"), os.fsencode(new_root), os.fsencode(put_old))


def prctl(option: int, *arguments: int) -> None:
    """prctl(2); missing arguments are zero."""
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *words) < 0:
        raise fail("prctl", option, *arguments)


def sethostname(name: str) -> None:
    """sethostname(2)."""
    data = name.encode()
    if _libc.sethostname(data, ctypes.c_size_t(len(data))):
        raise fail("sethostname", name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    data = name.encode()
    if _libc.setdomainname(data, ctypes.c_size_t(len(data))):
        raise fail("setdomainname", name)


def join_session_keyring(name: str) -> None:
    """A session keyring of its own, so that keys of the host are out of reach: keyctl(2)."""
    syscall("keyctl", number("keyctl"), KEYCTL_JOIN_SESSION_KEYRING, name.encode())


def pidfd_open(pid: int) -> int:
    """A descriptor of a process that no reuse of its pid can move: pidfd_open(2)."""
    return os.pidfd_open(pid)


def pidfd_send_signal(pidfd: int, signal_number: int) -> None:
    """pidfd_send_signal(2)."""
    syscall("pidfd_send_signal", SYS_PIDFD_SEND_SIGNAL, pidfd, signal_number, None, 0)


def close_range(first: int, last: int = 0xFFFFFFFF, cloexec: bool = False) -> None:
    """Close descriptors, or mark them close-on-exec: close_range(2), Linux 5.9."""
    syscall("close_range", SYS_CLOSE_RANGE, first, last, 4 if cloexec else 0)

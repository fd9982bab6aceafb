"""Turns mount options (config.md, "Linux mount options"; mount(8)) into flags and data."""

from __future__ import annotations

from dockyard.base.typed import NamedTuple

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 1 << 15
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_TIMES = 0x70
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

SET = {
    "ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC,
    "sync": MS_SYNCHRONOUS, "dirsync": MS_DIRSYNC, "noatime": MS_NOATIME, "mand": MS_MANDLOCK,
    "nodiratime": MS_NODIRATIME, "relatime": MS_RELATIME, "strictatime": MS_STRICTATIME,
    "iversion": MS_I_VERSION, "lazytime": MS_LAZYTIME, "nosymfollow": MS_NOSYMFOLLOW,
    "silent": MS_SILENT, "remount": MS_REMOUNT, "bind": MS_BIND, "rbind": MS_BIND | MS_REC,
}  # fmt: skip
CLEAR = {
    "rw": MS_RDONLY, "suid": MS_NOSUID, "dev": MS_NODEV, "exec": MS_NOEXEC,
    "async": MS_SYNCHRONOUS, "atime": MS_NOATIME, "diratime": MS_NODIRATIME, "loud": MS_SILENT,
    "norelatime": MS_RELATIME, "nostrictatime": MS_STRICTATIME, "nomand": MS_MANDLOCK,
    "noiversion": MS_I_VERSION, "nolazytime": MS_LAZYTIME, "symfollow": MS_NOSYMFOLLOW,
    "defaults": 0,
}  # fmt: skip
PROPAGATION = {
    name: flag | recursive
    for prefix, recursive in (("", 0), ("r", MS_REC))
    for name, flag in (
        (f"{prefix}private", MS_PRIVATE), (f"{prefix}slave", MS_SLAVE),
        (f"{prefix}shared", MS_SHARED), (f"{prefix}unbindable", MS_UNBINDABLE),
    )
}  # fmt: skip

# The kernel takes a time attribute only together with the clearing of them all.
RECURSIVE = {
    "rro": (MOUNT_ATTR_RDONLY, 0), "rrw": (0, MOUNT_ATTR_RDONLY),
    "rnosuid": (MOUNT_ATTR_NOSUID, 0), "rsuid": (0, MOUNT_ATTR_NOSUID),
    "rnodev": (MOUNT_ATTR_NODEV, 0), "rdev": (0, MOUNT_ATTR_NODEV),
    "rnoexec": (MOUNT_ATTR_NOEXEC, 0), "rexec": (0, MOUNT_ATTR_NOEXEC),
    "rnodiratime": (MOUNT_ATTR_NODIRATIME, 0), "rdiratime": (0, MOUNT_ATTR_NODIRATIME),
    "rnosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0), "rsymfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "rnoatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR_TIMES), "ratime": (0, MOUNT_ATTR_TIMES),
    "rstrictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_TIMES),
    "rnostrictatime": (0, MOUNT_ATTR_TIMES), "rrelatime": (0, MOUNT_ATTR_TIMES),
    "rnorelatime": (0, MOUNT_ATTR_TIMES),
}  # fmt: skip
"""Option -> (attributes to set, to clear) on a mount and every one below: mount_setattr(2)."""

ATTRIBUTES = {
    MS_RDONLY: MOUNT_ATTR_RDONLY, MS_NOSUID: MOUNT_ATTR_NOSUID, MS_NODEV: MOUNT_ATTR_NODEV,
    MS_NOEXEC: MOUNT_ATTR_NOEXEC, MS_NODIRATIME: MOUNT_ATTR_NODIRATIME,
    MS_NOSYMFOLLOW: MOUNT_ATTR_NOSYMFOLLOW,
}  # fmt: skip
TIMES = {MS_NOATIME: MOUNT_ATTR_NOATIME, MS_STRICTATIME: MOUNT_ATTR_STRICTATIME, MS_RELATIME: 0}
NAMES = tuple(sorted({*SET, *CLEAR, *PROPAGATION, *RECURSIVE, "idmap", "ridmap", "tmpcopyup"}))
"""Every option that has a meaning here; others are the file system's."""


class MountOptions(NamedTuple):
    """Options of one mount."""

    flags: int
    cleared: int
    """What was asked to be off: a bind mount has its source's otherwise."""
    propagation: tuple[int, ...]
    """One after the other: ``rslave`` then ``rshared`` is both."""
    data: str
    set_below: int = 0
    """``MOUNT_ATTR_*`` for the mount and every one below."""
    clear_below: int = 0
    idmap: str = ""
    """``idmap`` or ``ridmap``."""
    copy_up: bool = False


def parse_options(options: list[str]) -> MountOptions:
    """Flags that mount(2) has, what needs other calls, and the rest as the file system's data."""
    flags = cleared = set_below = clear_below = 0
    propagation, data = [], []
    idmap, copy_up = "", False
    for option in options:
        if option in SET:
            flags |= SET[option]
            cleared &= ~SET[option]
        elif option in CLEAR:
            flags &= ~CLEAR[option]
            cleared |= CLEAR[option]
        elif option in PROPAGATION:
            propagation.append(PROPAGATION[option])
        elif option in RECURSIVE:
            add, clear = RECURSIVE[option]
            set_below = set_below & ~clear | add
            clear_below = clear_below & ~add | clear
        elif option in ("idmap", "ridmap"):
            idmap = option
        elif option == "tmpcopyup":
            copy_up = True
        else:
            data.append(option)
    return MountOptions(flags, cleared, tuple(propagation), ",".join(data), set_below,
                        clear_below, idmap, copy_up)  # fmt: skip


def attributes(options: MountOptions) -> tuple[int, int]:
    """(``MOUNT_ATTR_*`` to set, to clear) for the flags of a mount that is there already."""
    add = clear = 0
    for flag, attribute in ATTRIBUTES.items():
        add |= attribute if options.flags & flag else 0
        clear |= attribute if options.cleared & flag else 0
    for flag, attribute in TIMES.items():
        if (options.flags | options.cleared) & flag:
            clear |= MOUNT_ATTR_TIMES
            add |= attribute if options.flags & flag else 0
    return add, clear

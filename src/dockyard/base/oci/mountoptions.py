"""Turns mount options (mount(8)) into flags, propagation and data for mount(2)."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.base.errors import Unsupported

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_DIRSYNC = 128
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24

SET = {
    "ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC,
    "sync": MS_SYNCHRONOUS, "dirsync": MS_DIRSYNC, "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME, "relatime": MS_RELATIME, "strictatime": MS_STRICTATIME,
    "bind": MS_BIND, "rbind": MS_BIND | MS_REC,
}  # fmt: skip
CLEAR = {
    "rw": MS_RDONLY, "suid": MS_NOSUID, "dev": MS_NODEV, "exec": MS_NOEXEC,
    "async": MS_SYNCHRONOUS, "atime": MS_NOATIME, "diratime": MS_NODIRATIME,
    "norelatime": MS_RELATIME, "nostrictatime": MS_STRICTATIME, "defaults": 0,
}  # fmt: skip
PROPAGATION = {
    "private": MS_PRIVATE, "rprivate": MS_PRIVATE | MS_REC, "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE, "runbindable": MS_UNBINDABLE | MS_REC,
}  # fmt: skip
LATER = {
    "shared",
    "rshared",
    "rro",
    "rrw",
    "rnosuid",
    "rnodev",
    "rnoexec",
    "idmap",
    "ridmap",
    "tmpcopyup",
}


class MountOptions(NamedTuple):
    """Options of one mount."""

    flags: int
    propagation: int
    data: str


def parse_options(options: list[str], where: str) -> MountOptions:
    """Flags that mount(2) has, a propagation, and the rest as the file system's own data."""
    flags = propagation = 0
    data = []
    for option in options:
        if option in SET:
            flags |= SET[option]
        elif option in CLEAR:
            flags &= ~CLEAR[option]
        elif option in PROPAGATION:
            propagation = PROPAGATION[option]
        elif option in LATER:
            raise Unsupported(f"config: {where}.options: {option}: not implemented")
        else:
            data.append(option)
    return MountOptions(flags, propagation, ",".join(data))

"""Turns a platform into whether this machine can run its programs: its own, or by binfmt_misc.

A handler counts by what it matches, not by its name: the kernel would ask it for an ELF program of
that machine (Documentation/admin-guide/binfmt-misc.rst).
"""

import os
import struct

from dockyard.base.oci.platform import Platform, host_platform

_FOLDER = "/proc/sys/fs/binfmt_misc"
_MACHINES = {
    "amd64": (2, 1, 62),
    "arm64": (2, 1, 183),
    "arm": (1, 1, 40),
    "386": (1, 1, 3),
    "ppc64le": (2, 1, 21),
    "riscv64": (2, 1, 243),
    "s390x": (2, 2, 22),
    "mips64le": (2, 1, 8),
    "loong64": (2, 1, 258),
}
"""Class, byte order and machine in an ELF header (elf.h)."""
_EXECUTABLE = 2
_FIXED = "F"
"""The flag of a handler that the kernel opened when it was registered: no other is found inside a
container's root."""


def runs(platform: Platform, folder: str = _FOLDER) -> bool:
    if host_platform().runs(platform):
        return True
    machine = _MACHINES.get(platform.architecture)
    if platform.os != "linux" or machine is None or _read(folder, "status")[:1] != ["enabled"]:
        return False
    header = _header(*machine)
    names = [name for name in os.listdir(folder) if name not in ("register", "status")]
    return any(_matches(_read(folder, name), header) for name in names)


def _header(size: int, order: int, machine: int) -> bytes:
    ident = b"\x7fELF" + bytes((size, order, 1)) + bytes(9)
    return ident + struct.pack("<HH" if order == 1 else ">HH", _EXECUTABLE, machine)


def _read(folder: str, name: str) -> list[str]:
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read(1 << 16).splitlines()
    except OSError:
        return []  # unregistered meanwhile, or not mounted


def _matches(lines: list[str], header: bytes) -> bool:
    told = dict(line.partition(" ")[::2] for line in lines)
    if "enabled" not in told or _FIXED not in told.get("flags:", ""):
        return False
    try:
        magic = bytes.fromhex(told.get("magic", ""))
        mask = bytes.fromhex(told.get("mask", "")) or b"\xff" * len(magic)
        start = int(told.get("offset", "0"))
    except ValueError:
        return False
    part = header[start : start + len(magic)]
    if not magic or len(part) != len(magic) or len(mask) != len(magic):
        return False
    return all(
        one & keep == other & keep for one, other, keep in zip(part, magic, mask, strict=True)
    )

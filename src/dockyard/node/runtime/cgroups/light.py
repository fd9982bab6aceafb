"""Turns a group's files into what a monitor needs of them while its container runs: little."""

from __future__ import annotations

import os

PIECE = 4096


def says_frozen(file: str) -> bool:
    """What the freezer's file says; a group that is gone is not stopped."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return os.read(descriptor, PIECE).strip() not in (b"THAWED", b"0", b"")
    except OSError:  # ENODEV: the group was removed while the file was open
        return False
    finally:
        os.close(descriptor)


def settle(doors: tuple[str, ...]) -> None:
    """Put this process there. A monitor does this: it touches little."""
    for door in doors:
        try:
            descriptor = os.open(door, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # its last monitor has ended since
            os.makedirs(os.path.dirname(door), exist_ok=True)
            descriptor = os.open(door, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)

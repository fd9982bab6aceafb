"""Turns a group's files into what a monitor needs of them while its container runs: little."""

from __future__ import annotations

import errno
import os

from dockyard.base.suppress import suppress

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


def oom_kills(file: str) -> int:
    """How many processes the kernel has killed for want of memory, as the group's file says; no
    file, or a group that is gone, says 0."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    try:
        _, _, rest = os.read(descriptor, PIECE).partition(b"oom_kill ")
        return int(rest.split()[0]) if rest else 0
    except OSError as error:
        if error.errno == errno.ENODEV:  # the group was removed while the file was open
            return 0
        raise
    finally:
        os.close(descriptor)


def remove(groups: tuple[tuple[str, str], ...]) -> bool:
    """Remove folders of a group in which nothing lives, and those above them that hold nothing any
    more; whether they are gone: else somebody has to end what is in there."""
    gone = True
    for folder, above in groups:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            gone = False
        if above:
            with suppress(OSError):  # others live there
                os.rmdir(above)
    return gone

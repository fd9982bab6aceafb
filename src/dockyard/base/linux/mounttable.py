"""Turns /proc/<pid>/mountinfo into rows (proc(5))."""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.pattern import Pattern
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_ESCAPED = Pattern(r"\\([0-7]{3})")


class Row(NamedTuple):
    """One mount of a mount namespace."""

    id: int
    parent: int
    device: str
    """``major:minor``."""
    root: str
    """The part of the file system that is mounted."""
    point: str
    """Where, seen from the process's root."""
    options: frozenset[str]
    """Of the mount: ``ro``, ``nosuid``..."""
    shared: int
    """Its peer group, or 0."""
    master: int
    """The peer group that it receives from, or 0."""
    unbindable: bool
    kind: str
    source: str
    data: frozenset[str]
    """Options of the file system, which all its mounts share."""


def parse(text: str) -> Iterator[Row]:
    """The rows, in the order of the file. A line that is none raises ``ValueError``."""
    for line in filter(None, text.split("\n")):  # other ends of lines are parts of names
        before, dash, after = line.partition(" - ")
        fields, last = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(last) != 3:
            raise ValueError(f"mountinfo: {line!r}: not a line of proc(5)")
        tags = dict(tag.partition(":")[::2] for tag in fields[6:] if tag)
        yield Row(
            int(fields[0]), int(fields[1]), fields[2], unescape(fields[3]), unescape(fields[4]),
            frozenset(fields[5].split(",")), int(tags.get("shared") or 0),
            int(tags.get("master") or 0), "unbindable" in tags, last[0], unescape(last[1]),
            frozenset(last[2].split(",")),
        )  # fmt: skip


def read(pid: int | str = "self") -> list[Row]:
    """The mounts that a process sees."""
    # surrogateescape: names are bytes
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return list(parse(file.read()))


def unmount_below(folder: str) -> None:
    """Unmount all that lies in a folder, the latest first; the folder's own mount stays."""
    from dockyard.base.linux import syscalls

    beginning = os.path.realpath(folder) + "/"
    for row in reversed(read()):
        if row.point.startswith(beginning):
            with contexts.suppress(OSError):  # it went with the one that it lay on
                syscalls.umount(row.point, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def unescape(text: str) -> str:
    r"""A name as it is: the table writes space, tab, newline, ``\`` and ``#`` as octal numbers."""
    if "\\" not in text:  # most: `re` is not loaded for them
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)

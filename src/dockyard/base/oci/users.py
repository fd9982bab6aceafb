"""Turns ``USER`` words and an image's passwd and group files into numbers (A11, A12).

The forms are Docker's: ``user``, ``uid``, ``user:group``, ``uid:gid``. Digits are never looked up
as a name; a name must be in the file.
"""

from __future__ import annotations

import os
import stat

from dockyard.base.errors import Invalid
from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.typed import NamedTuple

LAST_ID = 2**32 - 2
"""2**32-1 means "no change" to the kernel."""
LARGEST = 1 << 20
"""Bytes of a passwd or group file that are read; more is refused."""


class User(NamedTuple):
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve_user(text: str, passwd: bytes, group: bytes, more: tuple[str, ...] = ()) -> User:
    """Who ``text`` is by these files; an empty text is root. :class:`Invalid` for nobody.

    ``more`` names further groups.
    """
    found = _resolve(text, passwd, group)
    if not more:
        return found
    groups = [item for item in _rows(group, 4) if _is_id(item[2])]
    added = (_group(name, groups, name) for name in more)
    return found._replace(groups=tuple(sorted({*found.groups, *added})))


def _resolve(text: str, passwd: bytes, group: bytes) -> User:
    name, colon, group_name = text.partition(":")
    rows = [row for row in _rows(passwd, 7) if _is_id(row[2]) and _is_id(row[3])]
    if name.isdecimal() or not name:
        uid = _number(name or "0", text)
        row = next((row for row in rows if int(row[2]) == uid), None)
    else:
        row = next((row for row in rows if row[0] == name), None)
        if row is None:
            raise Invalid(f"unable to find user {name[:80]}: no matching entries in passwd file")
        uid = int(row[2])
    gid = int(row[3]) if row else 0
    home = row[5] if row and row[5].startswith("/") else "/root" if uid == 0 else "/"
    groups = [item for item in _rows(group, 4) if _is_id(item[2])]
    if colon:
        return User(uid, _group(group_name, groups, text), (), home)
    member = row[0] if row else None
    more = {int(item[2]) for item in groups if member and member in item[3].split(",")}
    return User(uid, gid, tuple(sorted(more - {gid})), home)


def read_database(root: int, path: str) -> bytes:
    """A file below ``root``; nothing where there is none. Only a regular file is read."""
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Invalid(f"image: {path}: is not a regular file")
        data = b""
        while chunk := os.read(fd, LARGEST):
            data += chunk
            if len(data) > LARGEST:
                raise Invalid(f"image: {path}: more than {LARGEST} bytes")
        return data
    finally:
        os.close(fd)


def find_user(root: int, text: str, more: tuple[str, ...] = ()) -> User:
    """Who ``text`` is in the tree below descriptor ``root``; ``more`` names further groups."""
    passwd = read_database(root, "etc/passwd")
    return resolve_user(text, passwd, read_database(root, "etc/group"), more)


def _group(name: str, groups: list[list[str]], text: str) -> int:
    if name.isdecimal():
        return _number(name, text)
    found = next((item for item in groups if item[0] == name), None)
    if found is None:
        raise Invalid(f"unable to find group {name[:80]}: no matching entries in group file")
    return int(found[2])


def _rows(data: bytes, fields: int) -> list[list[str]]:
    """Lines with as many fields as they need; others are skipped, as libc does."""
    lines = data.decode("utf-8", "replace").split("\n")
    found = (line.split(":") for line in lines)
    return [row for row in found if len(row) == fields]


def _number(digits: str, text: str) -> int:
    if not digits.isascii() or len(digits) > 10 or int(digits) > LAST_ID:
        raise Invalid(f"user: {text[:80]!r}: an ID is at most {LAST_ID}")
    return int(digits)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= LAST_ID

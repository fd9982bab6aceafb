"""Turns ``USER:GROUP`` and ``G,...`` of chroot(8) into numbers, by passwd and group files. Pure.

A name is looked up in the new root first, then in the old one. Digits that are nobody's name, and
``+N``, are numbers. Only files are read: a name service's modules would be loaded from the new root
(as chroot(8) once did: CVE-2016-2781 and its kin).
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from dockyard.base.errors import Invalid

LAST_ID = 2**32 - 2
"""2**32-1 means "no change" to the kernel."""
LARGEST = 1 << 20


class Names(NamedTuple):
    """The text of a root's /etc/passwd and /etc/group."""

    passwd: str
    group: str


class Identity(NamedTuple):
    """What changes of a process; None: nothing."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None


class _User(NamedTuple):
    name: str
    uid: int
    gid: int


def read_names(root: str) -> Names:
    """The two files below a root; what is missing, or no plain file, is empty."""
    return Names(_read(f"{root}/etc/passwd"), _read(f"{root}/etc/group"))


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            return file.read(LARGEST).decode("utf-8", "surrogateescape")
    return ""


def identity(userspec: str, groups: str | None, inside: Names, outside: Names) -> Identity:
    """Who the program runs as. Raises :class:`Invalid`.

    Supplementary groups: those named; else a known user's; else none where the user changes.
    """
    name, _, group_name = userspec.partition(":")
    user = _user(name, inside, outside) if name else None
    uid = None
    if name:
        uid = user.uid if user else _number(name, f"--userspec={userspec}: invalid user")
    gid = user.gid if user else None
    if group_name:
        gid = _group(group_name, inside, outside, f"--userspec={userspec}: invalid group")
    elif uid is not None and gid is None:
        raise Invalid(f"--userspec={userspec}: no group specified for unknown uid: {uid}; "
                      f"say {uid}:GROUP")  # fmt: skip
    return Identity(uid, gid, _further(groups, uid, gid, user, inside, outside))


def _further(
    groups: str | None,
    uid: int | None,
    gid: int | None,
    user: _User | None,
    inside: Names,
    outside: Names,
) -> tuple[int, ...] | None:
    if groups:
        if not groups.strip(","):
            raise Invalid(f"--groups={groups}: invalid group list; --groups= leaves none")
        return tuple(_group(name, inside, outside, f"--groups={groups}: invalid group")
                     for name in groups.split(",") if name)  # fmt: skip
    if groups is None and uid is None:
        return None
    if groups is None and user is not None:
        return _memberships(user.name, gid, inside)
    return ()


def _user(text: str, inside: Names, outside: Names) -> _User | None:
    for names in (inside, outside):
        users = [_User(row[0], int(row[2]), int(row[3])) for row in _rows(names.passwd, 7)
                 if _is_id(row[2]) and _is_id(row[3])]  # fmt: skip
        for user in users:
            if user.name == text:
                return user
        for user in users:
            if _is_id(text.removeprefix("+")) and user.uid == int(text):
                return user
    return None


def _group(text: str, inside: Names, outside: Names, wrong: str) -> int:
    for names in (inside, outside):
        for row in _rows(names.group, 4):
            if row[0] == text and _is_id(row[2]):
                return int(row[2])
    return _number(text, wrong)


def _memberships(name: str, gid: int | None, names: Names) -> tuple[int, ...]:
    """As initgroups(3): the groups that list the name, and its own."""
    found = [int(row[2]) for row in _rows(names.group, 4)
             if _is_id(row[2]) and name in row[3].split(",")]  # fmt: skip
    return tuple(dict.fromkeys([*([] if gid is None else [gid]), *found]))


def _rows(text: str, fields: int) -> list[list[str]]:
    return [row for line in text.splitlines() if len(row := line.split(":")) == fields]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= LAST_ID


def _number(text: str, wrong: str) -> int:
    digits = text.removeprefix("+")
    if not _is_id(digits):
        raise Invalid(f"{wrong} '{text}'; a name of /etc/passwd or /etc/group, or a number")
    return int(digits)

"""USER:GROUP of chroot(8): coreutils' manual is what decides."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Invalid
from dockyard.cli.userspec import Identity, Names, identity, read_names

INSIDE = Names("app:x:10:20:::\n5:x:77:78:::\nbroken\n", "app:x:20:\nmore:x:30:x,app\n9:x:90:\n")
OUTSIDE = Names("app:x:1:1:::\nhost:x:40:41:::\n", "app:x:1:app\nhosts:x:42:host\n")


@pytest.mark.parametrize(
    ("userspec", "groups", "found"),
    [
        ("", None, Identity(None, None, None)),
        ("", "", Identity(None, None, ())),
        ("app", None, Identity(10, 20, (20, 30))),
        ("app:more", None, Identity(10, 30, (30,))),
        ("host", None, Identity(40, 41, (41,))),
        ("5", None, Identity(77, 78, (78,))),
        ("+10", None, Identity(10, 20, (20, 30))),
        ("12:9", None, Identity(12, 90, ())),
        ("12:+9", None, Identity(12, 9, ())),
        (":more", None, Identity(None, 30, None)),
        ("app", "more,+1,hosts", Identity(10, 20, (30, 1, 42))),
    ],
)
def test_names_inside_come_first(userspec: str, groups: str | None, found: Identity) -> None:
    assert identity(userspec, groups, INSIDE, OUTSIDE) == found


@pytest.mark.parametrize(
    ("userspec", "groups", "message"),
    [
        ("nope", None, "invalid user 'nope'"),
        ("12", None, "no group specified for unknown uid: 12; say 12:GROUP"),
        ("app:nope", None, "invalid group 'nope'"),
        ("+app", None, "invalid user '+app'"),
        ("-1:1", None, "invalid user"),
        ("4294967295:1", None, "invalid user"),
        ("٣:1", None, "invalid user"),
        ("", "more,nope", "invalid group 'nope'"),
        ("", ",", "invalid group list"),
    ],
)
def test_what_is_refused(userspec: str, groups: str | None, message: str) -> None:
    with pytest.raises(Invalid, match=message.replace("+", r"\+")):
        identity(userspec, groups, INSIDE, OUTSIDE)


def test_a_root_without_files_has_no_names() -> None:
    assert read_names("/no/such/root") == Names("", "")

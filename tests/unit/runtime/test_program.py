"""What runc 1.1 and crun 1.8 say of a program that they cannot execute."""

from __future__ import annotations

import pytest

from dockyard.node.runtime.program import exit_code, without_nulls


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "runc create failed: unable to start container process: "
            'exec: "nope": executable file not found in $PATH',
            127,
        ),
        ('exec: "/no/such": stat /no/such: no such file or directory', 127),
        (
            "runc create failed: unable to start container process: "
            'exec: "/etc/passwd": permission denied',
            126,
        ),
        ("executable file `nope` not found in $PATH: No such file or directory", 127),
        ("open executable: Permission denied", 126),
        ("exec /bin/odd: exec format error", 126),
        ("unknown version specified", 125),
        ("container with given ID already exists", 125),
        ("", 125),
    ],
)
def test_exit_codes(text: str, code: int) -> None:
    assert exit_code(text) == code


def test_members_that_say_nothing_are_left_out() -> None:
    assert without_nulls({"a": None, "b": {"c": None, "d": [0, {"e": None}]}, "f": ("x",)}) == {
        "b": {"d": [0, {}]}, "f": ["x"]
    }  # fmt: skip

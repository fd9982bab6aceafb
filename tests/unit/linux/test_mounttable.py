"""The mount table: the example of proc(5), names that need escapes, and this machine's own."""

from __future__ import annotations

import pytest

from dockyard.base.linux import mounttable

# proc(5), /proc/pid/mountinfo
EXAMPLE = (
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
    "40 36 0:5 / /a\\040b\\134c rw,nosuid shared:7 propagate_from:2 - tmpfs tmp\\011fs rw\n"
    "41 36 0:6 / /x ro unbindable - tmpfs none ro,size=1k\n"
    "42 36 0:7 / /y ro - tmpfs none ro\n"
)


def test_the_manual_pages_example() -> None:
    first, second, third, fourth = mounttable.parse(EXAMPLE)
    assert first[:5] == (36, 35, "98:0", "/mnt1", "/mnt2")
    assert (first.options, first.data) == ({"rw", "noatime"}, {"rw", "errors=continue"})
    assert (first.shared, first.master, first.kind, first.source) == (0, 1, "ext3", "/dev/root")
    assert (second.point, second.source, second.shared) == ("/a b\\c", "tmp\tfs", 7)
    assert (third.unbindable, fourth.unbindable) == (True, False)


@pytest.mark.parametrize(
    "line", ["x", "1 2 3", "1 2 0:1 / / rw tmpfs tmpfs rw", "a b c d e f - x y z"]
)
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(ValueError):
        list(mounttable.parse(line))


@pytest.mark.parametrize(
    "name", ["a\x0bb", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b", "a\u00a0b", "a\udcffb"]
)
def test_names_with_other_ends_of_lines(name: str) -> None:
    """The kernel escapes space, tab, newline and backslash alone (show_mountinfo, mangle)."""
    (row,) = mounttable.parse(f"36 35 98:0 / /m/{name} rw - ext3 /dev/{name} rw\n")
    assert (row.point, row.source) == (f"/m/{name}", f"/dev/{name}")


def test_this_machines() -> None:
    rows = mounttable.read()
    assert "/" in {row.point for row in rows}
    assert any(row.kind == "proc" and row.point == "/proc" for row in rows)

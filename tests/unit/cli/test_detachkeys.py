"""The keys that leave a container: found over any division of what is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dockyard.base.errors import Invalid
from dockyard.cli.detachkeys import DEFAULT, Scanner, parse_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (DEFAULT, b"\x10\x11"),
        ("ctrl-a,d", b"\x01d"),
        ("ctrl-@,ctrl-[,ctrl-_", b"\x00\x1b\x1f"),
        ("a,b,c", b"abc"),
        ("", b""),
    ],
)
def test_keys_are_named_as_docker_names_them(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-aa", "ctrl-1", "é", "a,,b", "shift-a"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="detach keys"):
        parse_keys(text)


def test_a_beginning_that_does_not_go_on_is_typed() -> None:
    scanner = Scanner(b"\x10\x11")
    assert scanner.feed(b"a\x10") == (b"a", False)
    assert scanner.feed(b"b") == (b"\x10b", False)
    assert scanner.feed(b"\x10\x10\x11rest") == (b"\x10", True)


@given(some.lists(some.binary(max_size=6)), some.sampled_from([b"ab", b"aab", b"abab", b""]))
def test_all_that_comes_before_the_keys_arrives(pieces: list[bytes], keys: bytes) -> None:
    typed = b"".join(piece.replace(b"\x00", b"a").replace(b"\x01", b"b") for piece in pieces)
    scanner, out, left = Scanner(keys), b"", False
    for byte in typed:
        got, left = scanner.feed(bytes((byte,)))
        out += got
        if left:
            break
    at = typed.find(keys) if keys else -1
    assert left == (at >= 0)
    if left:
        assert out == typed[:at]
    else:
        assert typed.startswith(out)
        assert len(typed) - len(out) < max(1, len(keys))

"""Patterns of .dockerignore; cases from the reference, and from how moby's patternmatcher reads."""

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.build.glob import Glob
from dockyard.node.build.ignore import parse_ignore


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("a", ["a"], ["b", "a/b", "ab"]),
        ("*", ["a", ".x", ""], ["a/b"]),
        ("*/temp*", ["a/temp", "b/tempx"], ["temp", "a/b/temp"]),
        ("temp?", ["tempa"], ["temp", "temp/", "tempab"]),
        ("**", ["a", "a/b"], []),
        ("**/*.go", ["a.go", "x/y/a.go"], ["a.goo", "go"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "a/bx"]),
        ("a/**", ["a/b", "a/b/c"], ["b/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("a**b", ["ab", "a/x/b"], ["a/b/c"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "/x"]),
        ("[^a-c]x", ["dx"], ["ax", "/x"]),
        (r"a\*b", ["a*b"], ["axb"]),
        ("[]x]", ["]", "x"], ["y"]),
        ("a/***/b", ["a/x/b", "a/x/y/b"], ["a/b"]),
        ("**/**/*", ["a", "a/b"], []),
        ("a****/b", ["a/b", "ab", "a/x/b"], ["b"]),
        ("***", ["", "a/b"], []),
    ],
)
def test_globs(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    glob = Glob(pattern)
    assert [path for path in fits if not glob.matches(path)] == []
    assert [path for path in fits_not if glob.matches(path)] == []


@pytest.mark.parametrize("pattern", ["[", "[a", "a\\", "[a-", "*a" * 10_000])
def test_broken_globs(pattern: str) -> None:
    with pytest.raises(Invalid):
        Glob(pattern)


def test_e07_time_is_linear() -> None:
    """The pattern that is exponential for a backtracking matcher."""
    assert not Glob("*" * 8000 + "b").matches("a" * 4000)
    assert not Glob("****/" * 1600 + "b").matches("a/" * 2000)
    assert not Glob("**/" * 30 + "*a*" * 30 + "b").matches("a/" * 200 + "a" * 200)


def ignored(text: str, path: str) -> bool:
    ignore = parse_ignore(text.encode(), ".dockerignore")
    state, decision = ignore.start, False
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        decision, state = ignore.decide("/".join(parts[:count]), state)
    return decision


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("# comment\n\n*.md\n", "a.md", True),
        ("*.md", "sub/a.md", False),
        ("**/*.md", "sub/a.md", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        ("dir", "dir/a/b", True),
        ("/dir/", "dir/a", True),
        ("dir\n!dir/keep", "dir/keep", False),
        ("dir\n!dir/keep", "dir/other", True),
        ("  spaces  ", "spaces", True),
        (" #c", "#c", True),  # no comment behind blanks, as docker has it
        ("#c", "#c", False),
        ("/\n!/\na", "a", True),  # the context itself is never left out
        ("a\x0bb", "b", False),  # only a line feed ends a line
        ("\ufeffbom\r\nother\r\n", "bom", True),
        ("./a/../b", "b", True),
        (".", "anything", False),
    ],
)
def test_dockerignore(text: str, path: str, expected: bool) -> None:
    assert ignored(text, path) is expected


def test_e07_many_lines_and_broken_ones() -> None:
    assert ignored("x\n" * 90_000, "x")
    with pytest.raises(Invalid, match="lines"):
        parse_ignore(b"x\n" * 100_001, ".dockerignore")
    with pytest.raises(Invalid, match=r"\.dockerignore:2: "):
        parse_ignore(b"ok\n[broken\n", ".dockerignore")

"""Variables in words: the reference's "Environment replacement"."""

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.build.expand import expand
from dockyard.node.build.source import Line, Source
from dockyard.node.build.words import assignments, split

VARIABLES = {"foo": "/bar", "empty": "", "a1_": "x", "str": "foobarbaz"}


def line(rest: str = "", keyword: str = "ENV") -> Line:
    return Line(Source("Dockerfile", (rest,)), 1, 1, keyword, (), rest, "\\")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("$foo", "/bar"), ("${foo}", "/bar"), ("${foo}x", "/barx"), ("$foox", ""),
        ("$a1_-", "x-"), (r"\$foo", "$foo"), (r"\${foo}", "${foo}"), ("'$foo'", "$foo"),
        ('"$foo b"', "/bar b"), (r'"a\"b"', 'a"b'), (r'"a\nb"', r"a\nb"), (r"a\ b", "a b"),
        ("${foo:-x}", "/bar"), ("${none:-x}", "x"), ("${empty:-x}", "x"), ("${empty-x}", ""),
        ("${none-x}", "x"), ("${foo:+x}", "x"), ("${none:+x}", ""), ("${empty:+x}", ""),
        ("${empty+x}", "x"), ("${none:-$foo}", "/bar"), ("${none:-${none:-deep}}", "deep"),
        ("${str#f*b}", "arbaz"), ("${str##f*b}", "az"), ("${str%b*}", "foobar"),
        ("${str%%b*}", "foo"), ("${str/ba/fo}", "fooforbaz"), ("${str//ba/fo}", "fooforfoz"),
        ("${str#?}", "oobarbaz"), ("${str/o*r/}", "fbaz"),
        ("${foo#\\/}", "bar"), ("${none#x}", ""), ("${str%z}", "foobarba"), ("${str##*}", ""),
        ("$", "$"), ("a$", "a$"), ("$$foo", "foo"), ("$1x", "x"), ("$12x", "x"), ("$@@@", "@@"),
        ("$#", ""), ("$?", ""), ("$.", "$."), ("it''s", "its"), ("ends\\", "ends"),
        ("${foo:?no}", "/bar"),
    ],
)  # fmt: skip
def test_expand(word: str, value: str) -> None:
    assert expand(word, VARIABLES, line(word)) == value


@pytest.mark.parametrize("word", ["${foo", "${}", '"open', "'open", "${none:?tell}", "${a b}"])
def test_broken_words(word: str) -> None:
    with pytest.raises(Invalid):
        expand(word, VARIABLES, line(word))


def test_nesting_ends() -> None:
    with pytest.raises(Invalid, match="nested"):
        expand("${a:-" * 50 + "}" * 50, {}, line())


def test_words_keep_what_is_quoted() -> None:
    assert split(line(r"""a 'b c' "d e" f\ g""")) == ["a", "'b c'", '"d e"', r"f\ g"]


def test_assignments() -> None:
    assert assignments(line('A=1 B="x y"')) == [("A", "1"), ("B", '"x y"')]
    assert assignments(line("OLD some words = here")) == [("OLD", "some words = here")]

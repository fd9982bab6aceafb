"""Variables in words: the reference's "Environment replacement"."""

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.build.expand import expand, expand_text
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


def test_e07_many_variables_take_no_longer_than_as_many_letters() -> None:
    """Half a million in one word: what follows is not copied for each."""
    assert expand("$foo" * 200_000, VARIABLES, line()) == "/bar" * 200_000


@pytest.mark.parametrize("word", ["$a" * 400_000, "${none:-" + "$a" * 400_000 + "}"])
def test_e07_variables_do_not_fill_the_memory(word: str) -> None:
    variables = {"a": "x" * 500_000}
    with pytest.raises(Invalid, match="characters"):
        expand(word, variables, line())
    with pytest.raises(Invalid, match="characters"):
        expand_text(word, variables, line())


def test_e07_a_pattern_has_its_limit() -> None:
    with pytest.raises(Invalid, match="too many for a pattern"):
        expand("${a//" + "*b" * 1000 + "/x}", {"a": "a" * 1_000_000}, line())

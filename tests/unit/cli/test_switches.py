"""Docker's switches take a value after an equals sign, as Go's flag packages have it."""

from __future__ import annotations

import pytest

from dockyard.cli import common
from dockyard.cli.runflags import parse


@pytest.mark.parametrize(
    ("words", "rm", "tty", "proxy"),
    [
        (["--rm=true"], True, False, True),
        (["--rm=0"], False, False, True),
        (["-t=T"], False, True, True),
        (["-it=false"], False, False, True),
        (["--sig-proxy=false"], False, False, False),
        (["--sig-proxy"], False, False, True),
        (["-itename=--rm=true"], False, True, True),
        (["--name=--rm=true", "--rm"], True, False, True),
    ],
)
def test_switches_with_values(words: list[str], rm: bool, tty: bool, proxy: bool) -> None:
    found = parse("run", [*words, "image", "--rm=false", "-t"])
    assert (found.rm, found.tty, found.sig_proxy) == (rm, tty, proxy)
    assert found.words == ["image", "--rm=false", "-t"]


@pytest.mark.parametrize("word", ["--rm=yes", "-t=", "--init=2"])
def test_values_that_are_neither(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("run", [word, "image"])
    assert ended.value.code == 125
    assert "strconv.ParseBool" in capsys.readouterr().err


def test_words_of_other_verbs_may_stand_anywhere() -> None:
    parser = common.Parser("ps", "", "")
    parser.flag("-a", "--all", help="")
    parser.add_argument("names", nargs="*")
    found = parser.parse_args(["--all=true", "one", "--", "--all=false"])
    assert (found.all, found.names) == (True, ["one", "--all=false"])
    assert parser.parse_args(["one", "-a=false"]).all is False


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("64m", 64 << 20), ("64MB", 64 << 20), ("64 MiB", 64 << 20),
     ("1.5g", 3 << 29), ("2t", 2 << 40), ("5B", 5)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    """go-units, RAMInBytes."""
    assert common.size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "1.5.5m", "5z", "5ib", "nan", "inf", "1_0", "9e9p"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(common.Invalid):
        common.size(text)

"""What is read without argparse is what argparse reads, the standard library's own peer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.cli import common, plainwords, runflags
from dockyard.cli.plainwords import REST
from dockyard.cli.wholeparser import WholeParser


def small(nargs: str | None, before: int) -> common.Parser:
    """One option of each kind, then words."""
    parser = common.Parser("verb", "", "")
    parser.flag("-i", "--interactive", help="")
    parser.flag("-t", "--tty", help="")
    parser.flag_on("--proxy", help="")
    parser.many("-e", "--env", metavar="", help="")
    parser.add_argument("-n", "--number", type=int, default=3)
    parser.add_argument("--how", choices=("one", "two"), default="one")
    parser.add_argument("--net-work", "--net", default="bridge", dest="network")
    parser.add_argument("--explain", "--explain=text", action="store_const", const="text",
                        default="")  # fmt: skip
    parser.add_argument("--explain=full", dest="explain", action="store_const", const="full")
    parser.refuse(["--never"])
    for number in range(before):
        parser.add_argument(f"word{number}")
    if nargs is not None:
        parser.add_argument("words", nargs=nargs)
    return parser


TYPED = (
    "-i -t -it -ti -ie -tix -e --env --env=-- --env=A=B -eA -e=A A=B --proxy --proxy=false "
    "--proxy=true -i=false -n -n4 --number=x 4 -4 --how --how=two two three --net --net-work= "
    "--network none --explain --explain=text --explain=full --explain=odd --never --help -- - "
    "image sh -c --interactive --int -i4 --net=-x ---"
)
WORDS = st.sampled_from([*TYPED.split(), "", "a b", "-x y", "\n"])
SHAPES = st.sampled_from(
    [small(nargs, before) for nargs in (None, "?", "*", "+", REST) for before in (0, 1, 2)]
)


@settings(max_examples=1500)
@given(SHAPES, st.lists(WORDS, max_size=7))
def test_what_is_plain_is_what_argparse_says(parser: common.Parser, words: list[str]) -> None:
    found = plainwords.read(parser.declared, words)
    if found is not None:
        assert vars(found) == vars(WholeParser(parser).parse_args(words))


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(["--rm", "-d", "-it", "--network", "none", "--name=x", "-e", "A=1", "-m",
                         "64m", "-v", "/a:/b:ro", "--explain", "--stop-timeout", "5",
                         "--sig-proxy=false", "-p", "80:80", "--cpu-count",
                         "--memory-swappiness=1", "--entrypoint"]),
        max_size=8),
    st.lists(st.sampled_from(["image", "sh", "-c", "--rm", "true"]), max_size=3),
)  # fmt: skip
def test_run_is_read_the_same_way(options: list[str], words: list[str]) -> None:
    parser = runflags.declared("run")
    found = plainwords.read(parser.declared, [*options, *words])
    if found is not None:
        assert vars(found) == vars(WholeParser(parser).parse_args([*options, *words]))


def test_what_people_type_needs_no_argparse() -> None:
    words = ["--rm", "-it", "--network", "none", "-e", "A=1", "-v/a:/b", "image", "sh", "-c", "x"]
    for plain in (words[:6], words[4:6]):
        assert plainwords.read(runflags.declared("run").declared, [*plain, "image"]) is not None
    assert plainwords.read(runflags.declared("run").declared, words) is None  # a value in its word

"""Dockerfiles that nobody would write: each is a plan or one of our errors, in bounded time."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockyard.base.errors import DockyardError
from dockyard.base.oci.platform import host_platform
from dockyard.node.build import shellpattern
from dockyard.node.build.checks.check import check
from dockyard.node.build.checks.variables import Known
from dockyard.node.build.expand import expand
from dockyard.node.build.ignore import NOTHING
from dockyard.node.build.plan import make_plan, needed, outer_args, predefined
from dockyard.node.build.source import Line, Source

_PLAIN = """
FROM RUN COPY ADD ENV ARG ONBUILD HEALTHCHECK SHELL LABEL VOLUME EXPOSE CMD NONE AS scratch a $A
${A:-b} ${A#*} ${A//x/y} --from=0 --mount= --mount=type=cache,target=/x --chmod=u+x --platform=$P
--interval=1s <<EOF <<-'E' EOF E = " ' [ ] ["a"] # #escape=` #syntax=x #check=skip=all é
""".split()
WORDS = st.sampled_from([*_PLAIN, "\\\n", "\n", "\n", " ", "\t", "\r\n", "\ufeff"])
FILES = st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=300)


@given(FILES)
@settings(max_examples=300, deadline=None)
@example("FROM scratch\nONBUILD RUN <<EOF\nEOF\n")
@example("FROM a\nONBUILD \\\n\n")
@example("FROM a\nENV \\\n")
@example("# escape=`\nFROM a\nRUN `\n")
def test_e07_any_text_is_a_plan_or_an_error(text: str) -> None:
    try:
        plan = make_plan(("FROM scratch\n" + text).encode("utf-8", "surrogateescape"), "D")
    except DockyardError:
        return
    assert plan.stages
    for line in plan.dockerfile.lines:
        assert 1 <= line.number <= line.last <= len(plan.dockerfile.source.lines)
    try:
        outer = outer_args(plan, {}, predefined(host_platform(), ""))
        stages = needed(plan, plan.stages[-1], outer)
        assert stages[-1] == plan.stages[-1]
        check(plan, Known({}, host_platform(), NOTHING, lambda word: None))
    except DockyardError:
        pass


@given(st.text(alphabet="ab$ {}:-+#%/?*'\"\\", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_word_expands_or_is_refused(word: str) -> None:
    line = Line(Source("D", (word,)), 1, 1, "ENV", (), word, "\\")
    with contextlib.suppress(DockyardError):
        expand(word, {"a": "abab", "b": ""}, line)


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=5))
@settings(max_examples=200, deadline=None)
def test_patterns_are_the_shell_s(value: str, pattern: str) -> None:
    """Against the meaning itself: every cut, the shortest or longest that fits."""
    import fnmatch

    starts = [at for at in range(len(value) + 1) if fnmatch.fnmatchcase(value[:at], pattern)]
    ends = [at for at in range(len(value) + 1) if fnmatch.fnmatchcase(value[at:], pattern)]
    first, last = (starts[0], starts[-1]) if starts else (0, 0)
    assert shellpattern.cut_start(value, pattern, longest=False) == value[first:]
    assert shellpattern.cut_start(value, pattern, longest=True) == value[last:]
    short, long = (ends[-1], ends[0]) if ends else (len(value), len(value))
    assert shellpattern.cut_end(value, pattern, longest=False) == value[:short]
    assert shellpattern.cut_end(value, pattern, longest=True) == value[:long]


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=5))
@settings(max_examples=200, deadline=None)
def test_replacing_takes_the_longest_from_the_left(value: str, pattern: str) -> None:
    import fnmatch

    def fitting(at: int) -> int:
        ends = range(len(value), at, -1)
        return next((end for end in ends if fnmatch.fnmatchcase(value[at:end], pattern)), 0)

    out, at = "", 0
    while at < len(value):
        end = fitting(at)
        out, at = (out + "X", end) if end else (out + value[at], at + 1)
    assert shellpattern.replace(value, pattern, "X", every=True) == out


@pytest.mark.parametrize("text", ["${a#" + "*a" * 200 + "}", "${a//" + "*b" * 100 + "/x}"])
def test_e07_patterns_do_not_run_away(text: str) -> None:
    line = Line(Source("D", (text,)), 1, 1, "ENV", (), text, "\\")
    expand(text, {"a": "a" * 400}, line)

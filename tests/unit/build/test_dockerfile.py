"""Dockerfiles: what is understood, and what a person is told about one that is wrong."""

import textwrap

import pytest

from dockyard.base.errors import DockyardError, Invalid, Unsupported
from dockyard.node.build.parse import parse_dockerfile
from dockyard.node.build.plan import make_plan
from dockyard.node.build.source import Line


def lines(text: str) -> list[Line]:
    return list(parse_dockerfile(textwrap.dedent(text).encode(), "Dockerfile").lines)


def refused(text: str, kind: type[DockyardError] = Invalid) -> str:
    with pytest.raises(kind) as caught:
        make_plan(textwrap.dedent(text).lstrip("\n").encode(), "Dockerfile")
    return str(caught.value)


def test_continuations_comments_and_case() -> None:
    found = lines(
        """\
        # a comment
        from busybox

        RUN one && \\
            # inside
            two \\

            three
        cmd ["x"]
        """
    )
    assert [(line.keyword, line.number, line.last) for line in found] == [
        ("FROM", 2, 2), ("RUN", 4, 8), ("CMD", 9, 9),
    ]  # fmt: skip
    assert found[1].rest.split() == ["one", "&&", "two", "three"]


def test_directives() -> None:
    found = lines("# syntax=docker/dockerfile:1\n# escape=`\nFROM x\nRUN dir C:\\\\ `\n  more\n")
    assert found[1].escape == "`"
    assert found[1].rest == "dir C:\\\\   more"
    # a directive after anything else is a comment (reference, "Parser directives")
    assert lines("FROM x\n# escape=`\nRUN a \\\n b\n")[1].rest == "a  b"


def test_byte_order_mark_and_crlf() -> None:
    found = parse_dockerfile("\ufeffFROM x\r\nRUN a \\\r\n b\r\n".encode(), "Dockerfile").lines
    assert [line.keyword for line in found] == ["FROM", "RUN"]
    assert found[1].rest == "a  b"


def test_flags() -> None:
    (_, line) = lines("FROM x\nCOPY --chown=1:2 --chmod=644 a b\n")
    assert line.flags == (("chown", "1:2"), ("chmod", "644"))
    assert line.rest == "a b"


def test_an_error_shows_the_line_and_its_neighbours() -> None:
    assert refused(
        """
        FROM busybox
        WORKDIR /app

        COPY onlyone
        CMD ["sh"]
        RUN after
        USER last
        """
    ) == (
        "Dockerfile:4: COPY: a source and a destination are expected\n"
        "--------------------\n"
        "   2 |     WORKDIR /app\n"
        "   3 |\n"
        "   4 | >>> COPY onlyone\n"
        '   5 |     CMD ["sh"]\n'
        "   6 |     RUN after\n"
        "--------------------"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Dockerfile: no instruction"),
        ("RUN x\n", "Dockerfile:1: RUN: no build stage in current context"),
        ("ARG A\n", "Dockerfile:1: ARG: no FROM in the file"),
        ("FROM a b\n", "Dockerfile:1: FROM: requires either one or three arguments"),
        ("FROM x\nRUNN ls\n", "Dockerfile:2: RUNN: no such instruction; did you mean RUN?"),
        ("FROM x\nBADCMD\n", "Dockerfile:2: BADCMD: no such instruction"),
        ("FROM x\nONBUILD\n", "Dockerfile:2: ONBUILD: nothing follows"),
        ("FROM x\n123 ls\n", "Dockerfile:2: '123': an instruction is expected"),
        ("FROM x\nENV\n", "Dockerfile:2: ENV: nothing follows"),
        ("FROM x\nENV A\n", "Dockerfile:2: ENV: 'A': NAME=value is expected"),
        ("FROM x\nENV A=1 B\n", "Dockerfile:2: ENV: 'B': NAME=value is expected"),
        ("FROM x\nENV A='1\n", "Dockerfile:2: ENV: a ' is not closed"),
        ("FROM x\nARG 1A\n", "Dockerfile:2: ARG: '1A': NAME or NAME=default is expected"),
        ("FROM x\nSHELL sh\n", "Dockerfile:2: SHELL: a list is expected"),
        ("FROM x\nUSER a b\n", "Dockerfile:2: USER: one user is expected"),
        ("FROM x\nRUN []\n", "Dockerfile:2: RUN: an empty list"),
        ("# escape=x\nFROM x\n", "Dockerfile:1: directive escape: 'x'"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    assert refused(text).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# syntax=example.com/other\nFROM x\n", "Dockerfile:1: directive syntax"),
    ],
)
def test_what_is_not_implemented_is_named(text: str, told: str) -> None:
    assert refused(text, Unsupported).startswith(told)


def test_e07_a_large_or_binary_file_is_refused() -> None:
    for data in (b"FROM x\n" * 200_000, b"\xff\xfe", b"FROM x\0"):
        with pytest.raises(Invalid):
            parse_dockerfile(data, "Dockerfile")

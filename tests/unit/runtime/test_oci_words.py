"""dockyard-oci's words: flags as Go's package reads them, sizes, signals, tables, log records."""

from __future__ import annotations

import json
import signal

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.runtime.oci.flags import Flag, Usage, parse
from dockyard.node.runtime.oci.report import line
from dockyard.node.runtime.oci.verbs.exec import VERB as EXEC
from dockyard.node.runtime.oci.verbs.exec import changed
from dockyard.node.runtime.oci.verbs.kill import signal_number
from dockyard.node.runtime.oci.verbs.list import table
from dockyard.node.runtime.oci.verbs.ps import chosen
from dockyard.node.runtime.oci.verbs.update import size

FLAGS = (
    Flag(("bundle", "b"), ""),
    Flag(("detach", "d"), "", "switch", False),
    Flag(("count",), "", "number", 0),
    Flag(("interval",), "", "duration", 5.0),
    Flag(("env", "e"), "", "texts"),
)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-b", "x"], "bundle", "x"),
        (["--b=x"], "bundle", "x"),
        (["-bundle=a=b"], "bundle", "a=b"),
        (["--bundle", "-d"], "bundle", "-d"),
        (["--bundle", "a", "--bundle", "b"], "bundle", "b"),
        (["-d"], "detach", True),
        (["-d=false"], "detach", False),
        (["--detach=T"], "detach", True),
        (["--count", "0x10"], "count", 16),
        (["--count=-3"], "count", -3),
        (["--interval", "1m30s"], "interval", 90.0),
        (["--interval", "1.5h"], "interval", 5400.0),
        (["-e", "A=1", "--env", "B=2"], "env", ["A=1", "B=2"]),
    ],
)
def test_a_flag(words: list[str], name: str, value: object) -> None:
    values, arguments = parse([*words, "id"], FLAGS, ordered=True)
    assert values[name] == value
    assert arguments == ["id"]


@pytest.mark.parametrize(
    "words",
    [["-x"], ["-db"], ["--bundle"], ["-d=maybe"], ["--count", "many"], ["--interval", "5"],
     ["--interval", ""], ["--interval", "1x"], ["---b", "x"]],
)  # fmt: skip
def test_a_flag_that_is_none(words: list[str]) -> None:
    with pytest.raises(Usage):
        parse(words, FLAGS, ordered=True)


def test_where_flags_end() -> None:
    words = ["id", "-d", "--", "-b", "x"]
    assert parse(words, FLAGS, ordered=True)[1] == words
    values, arguments = parse(words, FLAGS, ordered=False)
    assert (values["detach"], values["bundle"], arguments) == (True, "", ["id", "-b", "x"])
    assert parse(["-"], FLAGS, ordered=False)[1] == ["-"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("64m", 64 << 20), ("1GiB", 1 << 30), ("1.5g", 3 << 29), ("100", 100), ("-1", -1),
     ("2k", 2048), ("1KB", 1024)],
)  # fmt: skip
def test_sizes(text: str, wanted: int) -> None:
    assert size("memory", text) == wanted


@pytest.mark.parametrize("text", ["zz", "m", "1q", "1mm", "1 m x", "nan", "inf", "1e999"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(Invalid, match="invalid value for memory"):
        size("memory", text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGUSR1", 10), ("0", 0),
     ("RTMIN+3", int(signal.SIGRTMIN) + 3), ("SIGRTMAX-1", int(signal.SIGRTMAX) - 1)],
)  # fmt: skip
def test_signals(text: str, wanted: int) -> None:
    assert signal_number(text) == wanted


@pytest.mark.parametrize("text", ["", "NOSUCH", "65", "-1", "RTMIN+99", "RTMIN+x", "+", "KILL+1"])
def test_signals_that_are_none(text: str) -> None:
    with pytest.raises(Invalid, match="unknown signal"):
        signal_number(text)


def test_records() -> None:
    assert line("error", "plain", "text", 0) == 'time="1970-01-01T00:00:00Z" level=error msg=plain'
    assert line("error", 'a "b"\n', "text", 0).endswith(r'msg="a \"b\"\n"')
    assert line("error", "", "text", 0).endswith('msg=""')
    record = json.loads(line("warning", "über\n", "json", 0))
    assert record == {"level": "warning", "msg": "über\n", "time": "1970-01-01T00:00:00Z"}


def test_the_table_of_containers() -> None:
    heading, row = table([["a", "1", "running", "/a/very/long/bundle", "now", "root"]]).splitlines()
    assert heading.startswith("ID          PID         STATUS      BUNDLE")
    assert row.index("/a/very") == heading.index("BUNDLE")
    assert row.endswith("root")


def test_the_lines_of_ps() -> None:
    text = "UID PID CMD\nroot 12 PID 13\nroot 13 x\n\nroot\n"
    assert chosen(text, {12}) == ["UID PID CMD", "root 12 PID 13"]
    with pytest.raises(Invalid, match="PID"):
        chosen("UID CMD\nroot x\n", {12})
    with pytest.raises(Invalid, match="PID"):
        chosen("", {12})


def test_a_command_begins_as_the_containers_process() -> None:
    base = {"args": ["init"], "env": ["A=1"], "cwd": "/x", "terminal": True,
            "user": {"uid": 5, "gid": 6, "additionalGids": [7]}, "noNewPrivileges": True,
            "capabilities": {"bounding": ["CAP_KILL"], "inheritable": ["CAP_KILL"]}}  # fmt: skip
    plain, _ = parse([], EXEC.flags, ordered=True)
    found = changed(base, plain, ["ls"])
    assert found == {**base, "args": ["ls"], "terminal": False}
    flags = ["-u", "1", "-g", "8", "-e", "B=2", "-t", "--no-new-privs=false", "-c", "CAP_CHOWN"]
    values, _ = parse(flags, EXEC.flags, ordered=True)
    found = changed(base, values, ["ls"])
    assert found["user"] == {"uid": 1, "gid": 6, "additionalGids": [7, 8]}
    assert (found["env"], found["terminal"], found["noNewPrivileges"]) == (
        ["A=1", "B=2"],
        True,
        False,
    )
    assert found["capabilities"]["bounding"] == ["CAP_KILL", "CAP_CHOWN"]
    assert found["capabilities"]["inheritable"] == ["CAP_KILL"]
    assert found["capabilities"]["ambient"] == ["CAP_CHOWN"]  # only with inheritable ones
    assert base["args"] == ["init"]

"""`--system`, `--explain` and `--without` among the other words after `run`."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Conflict
from dockyard.cli.runconfig import GRACE, SYSTEM_GRACE, config
from dockyard.cli.runflags import parse
from dockyard.node.engine.config import ContainerConfig


def made(*words: str) -> ContainerConfig:
    return config(parse("run", list(words)))


def test_a_system_has_a_console_and_a_longer_grace() -> None:
    found = made("-d", "--system", "--rootfs", "/tree")
    assert (found.system, found.terminal, found.open_stdin, found.stdin_once) == (
        True, True, True, False
    )  # fmt: skip
    assert (found.command, found.stop_timeout) == ((), SYSTEM_GRACE)
    assert made("--system", "--stop-timeout", "5", "--rootfs", "/tree").stop_timeout == 5
    plain = made("--rootfs", "/tree", "true")
    assert (plain.system, plain.terminal, plain.stop_timeout) == (False, False, GRACE)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--system", "--init"], "--init"),
        (["--system", "--pid", "host"], "process 1"),
        (["--system", "--without", "net,pid"], "process 1"),
        (["--system", "--without", "cgroup"], "control groups below its own"),
        (["--system", "--cgroupns", "host"], "control groups below its own"),
        (["--system", "--runtime", "runc"], "--runtime"),
        (["--explain", "--runtime", "crun"], "strace -f"),
        (["--explain=json", "--runtime", "crun"], "strace -f"),
    ],
)
def test_what_contradicts_it(words: list[str], why: str) -> None:
    with pytest.raises(Conflict, match="conflicting options: .*" + why):
        made(*words, "--rootfs", "/tree", "true")


def test_an_option_with_a_value_that_may_be_missing_takes_no_image() -> None:
    for word, form in (("--explain", "text"), ("--explain=text", "text"),
                       ("--explain=full", "full"), ("--explain=json", "json")):  # fmt: skip
        options = parse("run", [word, "alpine", "true"])
        assert (options.explain, options.words) == (form, ["alpine", "true"])
    assert parse("run", ["alpine", "--explain"]).explain == ""


@pytest.mark.parametrize("word", ["--explain=xml", "--explain=", "--explain=json,text"])
def test_other_forms_are_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("run", [word, "alpine"])
    assert ended.value.code == 125
    assert "--explain" in capsys.readouterr().err

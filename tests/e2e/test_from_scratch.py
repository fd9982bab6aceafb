"""`docs/from-scratch.md`, run from its first command to its last: what it shows is what is printed.

One shell in namespaces of its own stands for the reader's machine, so that a step that fails leaves
no mount, message queue or process behind.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers import leaks

PAGE = Path(__file__).resolve().parents[2] / "docs/from-scratch.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^## (\d+)\. ", re.MULTILINE)
ANYTHING = "..."


class Command(NamedTuple):
    """A command of the page, and the output that stands below it."""

    text: str
    output: str


def commands(block: str) -> Iterator[Command]:
    """``$`` begins a command, ``>`` continues it; other lines are what it prints."""
    text: list[str] = []
    output: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            if text:
                yield Command("\n".join(text), "\n".join(output))
            text, output = [line[2:]], []
        elif line.startswith("> ") and not output:
            text.append(line[2:])
        else:
            output.append(line)
    yield Command("\n".join(text), "\n".join(output))


def matches(expected: str, printed: str) -> bool:
    """Whether it is what the page says; three dots there stand for anything."""
    pattern = ".*".join(re.escape(piece) for piece in expected.split(ANYTHING))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


class Reader:
    """A shell that runs one command after the other and says what each prints."""

    def __init__(self, folder: Path) -> None:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "DOCKYARD_ROOT": str(folder / "data"),
            "HOME": str(folder),
            "LC_ALL": "C",
            "SHELL": "/bin/sh",
        }
        self._shell = subprocess.Popen(
            ["unshare", "--mount", "--ipc", "bash", "--norc"], cwd=folder / "work",
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> str:
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin is not None
        assert stdout is not None
        marker = "the-command-has-ended"
        stdin.write(f"{command}\nprintf '\\n%s\\n' {marker}\n")
        stdin.flush()
        printed: list[str] = []
        for line in stdout:
            if line == f"{marker}\n":
                break
            printed.append(line)
        return "".join(printed).removesuffix("\n")

    def close(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "work").mkdir()
    found = Reader(tmp_path)
    try:
        yield found
        found.run("dockyard rm -f $(dockyard ps -aq)")
    finally:
        found.close()
    assert leaks.left_behind(tmp_path / "data") == []


def test_ten_steps_and_each_shows_both() -> None:
    first, *steps = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    assert "ten steps" in first
    numbered = [step for step in steps if step[0].isdigit()]
    assert [int(step.partition(".")[0]) for step in numbered] == list(range(1, 11))
    for step in numbered:
        _, _, rest = step.partition("**Missing.**")
        missing, _, there = rest.partition("**There.**")
        for half in (missing, there):
            [*_, last] = [each for block in BLOCK.findall(half) for each in commands(block)]
            assert last.text


@pytest.mark.root
def test_every_command_prints_what_the_page_says(reader: Reader) -> None:
    seen = 0
    for block in BLOCK.findall(PAGE.read_text()):
        for command in commands(block):
            printed = reader.run(command.text).strip("\n")
            assert matches(command.output, printed), f"{command.text}\nprinted:\n{printed}"
            seen += 1
    assert seen > 40


def test_what_the_test_itself_would_overlook() -> None:
    assert matches("a ... c", "a b c")
    assert not matches("a", "a b")
    assert not matches("", "an error")
    [one, two] = commands("$ cat <<E\n> x\n> E\nx\n$ true\n")
    assert one == Command("cat <<E\nx\nE", "x")
    assert two == Command("true", "")
    # no other kind of block hides a command from the test
    assert set(re.findall(r"^```(\S+)$", PAGE.read_text(), re.MULTILINE)) == {"console"}

"""A container that runs for a while without a daemon: its monitor becomes a smaller process, and
nothing of what it does is lost. Sizes: proc(5), smaps_rollup."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from helpers.program import PROGRAM, Shell, Terminal, eventually, parent_of

pytestmark = pytest.mark.root

MOST_MB = 6.6
"""Of a single monitor's proportional size: 5.4 here, 7.3 before it executes itself anew."""


def settled(shell: Shell, name: str) -> int:
    """The pid of its monitor, once that has executed itself anew."""
    monitor = parent_of(int(shell("inspect", "--format", "{{.State.Pid}}", name)))
    eventually(lambda: b"runtime.settled" in Path(f"/proc/{monitor}/cmdline").read_bytes())
    shell("ps", "-q")  # it answers
    return monitor


def size(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [pss] = [line.split()[1] for line in rollup if line.startswith("Pss:")]
    return int(pss) / 1024


def test_it_is_small_and_goes_on(shell: Shell) -> None:
    loop = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    shell.run("-d", "--name", "box", "sh", "-c", loop)
    monitor = settled(shell, "box")
    assert size(monitor) <= MOST_MB
    said = [int(line) for line in shell("logs", "box").split()]
    eventually(lambda: len(shell("logs", "box").split()) > len(said) + 5)
    said = [int(line) for line in shell("logs", "box").split()]
    assert said == list(range(1, len(said) + 1))  # not a line is lost
    assert shell("ps", "--format", "{{.Names}} {{.State}}") == "box running\n"
    done = shell.full("exec", "-i", "box", "sh", "-c", "cat; exit 5", stdin=b"typed")
    assert (done.returncode, done.stdout) == (5, b"typed")
    shell("pause", "box")
    assert shell("ps", "--format", "{{.State}}") == "paused\n"
    shell("unpause", "box")
    assert parent_of(int(shell("inspect", "--format", "{{.State.Pid}}", "box"))) == monitor
    shell("stop", "-t", "0", "box")
    assert shell("wait", "box") == "137\n"
    assert not list(shell.root.rglob("monitor.error"))


def test_its_own_exit_code_and_a_line_without_end(shell: Shell) -> None:
    text = "printf 'a line '; while [ ! -e /go ]; do sleep 0.05; done; echo ends; exit 7"
    shell.run("-d", "--name", "box", "sh", "-c", text)
    settled(shell, "box")
    shell("exec", "box", "touch", "/go")
    assert shell("wait", "box") == "7\n"
    assert shell("logs", "box") == "a line ends\n"


def test_a_terminal_and_an_input_are_still_there(shell: Shell) -> None:
    shell.run("-dit", "--name", "tty", "sh")
    shell.run("-di", "--name", "in", "cat")
    settled(shell, "tty")
    settled(shell, "in")
    again = Terminal(shell, "attach", "tty")
    again.type(b"tty; echo $((6*7)); exit 4\r")
    again.expect(b"/dev/pts/0")
    again.expect(b"42")
    assert again.code() == 4
    done = shell.full("attach", "in", stdin=b"through\n")
    assert (done.returncode, done.stdout) == (0, b"through\n")


def test_it_restarts_by_its_policy(shell: Shell) -> None:
    shell.run("-d", "--name", "box", "--restart", "on-failure:1", "sh", "-c", "sleep 60; exit 1")
    monitor = settled(shell, "box")
    os.kill(int(shell("inspect", "--format", "{{.State.Pid}}", "box")), signal.SIGKILL)
    eventually(lambda: shell("inspect", "--format", "{{.RestartCount}}", "box") == "1\n")
    eventually(lambda: shell("ps", "--format", "{{.State}}") == "running\n")
    assert parent_of(int(shell("inspect", "--format", "{{.State.Pid}}", "box"))) != monitor


def test_its_death_is_its_containers(shell: Shell) -> None:
    shell.run("-d", "--name", "box", "sleep", "60")
    monitor = settled(shell, "box")
    os.kill(monitor, signal.SIGKILL)
    eventually(lambda: shell("ps", "-q") == "")


def test_whoever_is_attached_keeps_it_as_it_is(shell: Shell) -> None:
    words = [*PROGRAM, "run", "--rm", "-i", "--network", "none", "--rootfs", shell.tree]
    with subprocess.Popen(
        [*words, "sh", "-c", "echo on; sleep 2; read a; echo $a"], env=shell.env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as run:  # fmt: skip
        assert run.stdin and run.stdout
        assert run.stdout.readline() == b"on\n"
        out, _ = run.communicate(b"said\n", timeout=60)
    assert (run.returncode, out) == (0, b"said\n")

"""A container that wants too much hurts nobody but itself (G11), as a person sees it."""

from __future__ import annotations

import json

import pytest

from helpers.program import Shell, eventually

pytestmark = pytest.mark.root

EAT = "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x"
BOMB = "f() { f | f & }; f; exec sleep 600"


def state(shell: Shell, name: str) -> dict[str, object]:
    [found] = json.loads(shell("inspect", name))
    return dict(found["State"])


def test_g11_out_of_memory_is_said_and_only_the_guilty_end(shell: Shell) -> None:
    shell.run("-d", "--name", "calm", "--memory", "16m", "sleep", "600")
    done = shell.run("--name", "guilty", "--memory", "16m", "--memory-swap", "16m", "sh", "-c", EAT)
    guilty = state(shell, "guilty")
    assert guilty["OOMKilled"] is True
    assert guilty["ExitCode"] == done.returncode != 0
    calm = state(shell, "calm")
    assert (calm["OOMKilled"], calm["Status"]) == (False, "running")
    assert shell("exec", "calm", "echo", "here") == "here\n"


def test_g11_a_fork_bomb_meets_its_limit_and_everything_answers(shell: Shell) -> None:
    """Bounded by its limit of processes, its share of a processor, and `rm -f`."""
    shell.run("-d", "--name", "bomb", "--pids-limit", "48", "--cpus", "0.2", "sh", "-c", BOMB)
    row = ("stats", "--no-stream", "--format", "{{.PIDs}}", "bomb")
    eventually(lambda: int(shell(*row)) > 20, 30.0)
    assert int(shell(*row)) <= 48
    assert shell("ps", "-q", "--filter", "name=bomb") != ""
    shell.run("--rm", "true")
    shell("rm", "-f", "bomb")
    assert shell("ps", "-aq") == ""

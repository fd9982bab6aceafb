"""Restart policies without a daemon: what docker 28 does with the same flags."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from helpers.program import Shell, eventually, parent_of

pytestmark = pytest.mark.root


def state(shell: Shell, name: str = "web") -> dict[str, object]:
    found: dict[str, object] = json.loads(shell("inspect", "-f", "{{json .State}}", name))
    return found


def restarts(shell: Shell, name: str = "web") -> int:
    return int(shell("inspect", "-f", "{{.RestartCount}}", name))


def starts(shell: Shell, name: str = "web") -> int:
    words = ("events", "--since", "1h", "--until", "0s", "--filter", f"container={name}")
    return len(shell(*words, "--filter", "event=start").splitlines())


def test_on_failure_tries_so_often(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--restart", "on-failure:2", "sh", "-c", "echo x; exit 3")
    eventually(lambda: restarts(shell) == 2 and state(shell)["Status"] == "exited")
    assert state(shell)["ExitCode"] == 3
    assert shell("logs", "web") == "x\n" * 3
    assert starts(shell) == 3
    policy = json.loads(shell("inspect", "-f", "{{json .HostConfig.RestartPolicy}}", "web"))
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 2}


def test_a_success_is_no_failure(shell: Shell) -> None:
    shell.run("--name", "web", "--restart", "on-failure", "true")
    eventually(lambda: state(shell)["Status"] == "exited")
    assert (restarts(shell), starts(shell)) == (0, 1)


def test_always_until_somebody_stops_it(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--restart", "always", "true")
    eventually(lambda: restarts(shell) >= 3)
    assert shell("stop", "web") == "web\n"
    found = state(shell)
    assert (found["Status"], found["Running"], found["Restarting"]) == ("exited", False, False)
    before = restarts(shell)
    shell("start", "web")
    eventually(lambda: restarts(shell) >= 1)
    assert restarts(shell) < before + 20
    shell("rm", "-f", "web")
    assert shell("ps", "-aq") == ""


def test_nobody_waits_for_one_that_is_gone(shell: Shell) -> None:
    """The process that waits would do so for longer than the fixture."""
    shell.run("-d", "--name", "web", "--restart", "always", "false")
    eventually(lambda: restarts(shell) >= 6)
    eventually(lambda: state(shell)["Status"] == "restarting")
    shell("rm", "-f", "web")


def test_one_that_waits_to_be_started_again(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--restart", "always", "false")
    eventually(lambda: restarts(shell) >= 4)
    # between two looks it may run for a moment
    eventually(lambda: [state(shell)[name] for name in ("Running", "Restarting", "Pid")]
               == [True, True, 0])  # fmt: skip
    eventually(lambda: "Restarting (1) " in shell("ps"))
    waits = b"is restarting, wait until the container is running"
    for words in (("exec", "web", "true"), ("pause", "web"), ("top", "web")):
        eventually(lambda words=words: waits in shell.full(*words).stderr)
    eventually(lambda: b"is restarting: stop the container" in shell.full("rm", "web").stderr)
    eventually(lambda: shell.full("kill", "web").returncode == 0)
    assert state(shell)["Status"] == "exited"
    count = starts(shell)
    shell.run("--rm", "true")
    assert starts(shell) == count


def test_a_kill_by_the_user_is_meant(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--restart", "unless-stopped", "sleep", "1000")
    shell("kill", "web")
    shell("wait", "web")
    assert (state(shell)["Status"], restarts(shell)) == ("exited", 0)
    shell("start", "web")
    pid = int(str(state(shell)["Pid"]))
    os.kill(pid, signal.SIGKILL)  # by somebody else
    eventually(lambda: restarts(shell) == 1 and state(shell)["Status"] == "running")
    assert state(shell)["Pid"] != pid


def test_g08_a_monitor_that_was_killed_is_made_up_for(shell: Shell) -> None:
    """Nobody sees that end: the next command does, and starts it again."""
    shell.run("-d", "--name", "web", "--restart", "always", "sleep", "1000")
    pid = int(str(state(shell)["Pid"]))
    monitor = parent_of(pid)
    os.kill(monitor, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert shell.run("--rm", "true").returncode == 0
    assert state(shell)["Status"] == "running"
    assert restarts(shell) == 1


def test_a_policy_can_be_changed(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "sleep", "1000")
    assert shell("update", "--restart", "always", "web") == "web\n"
    shell("exec", "web", "kill", "-9", "1", check=False)  # ignored: its own first process
    os.kill(int(str(state(shell)["Pid"])), signal.SIGKILL)
    eventually(lambda: restarts(shell) == 1 and state(shell)["Status"] == "running")
    shell("update", "--restart", "no", "web")
    os.kill(int(str(state(shell)["Pid"])), signal.SIGKILL)
    eventually(lambda: state(shell)["Status"] == "exited")
    assert restarts(shell) == 1


def test_restart_is_stop_and_start(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--restart", "always", "sleep", "1000")
    before = state(shell)["Pid"]
    done = shell.full("restart", "-t", "0", "web", "nope")
    assert (done.returncode, done.stdout) == (1, b"web\n")
    assert done.stderr == b"dockyard: No such container: nope\n"
    found = state(shell)
    assert (found["Status"], restarts(shell)) == ("running", 0)
    assert found["Pid"] != before
    shell("stop", "-t", "0", "web")
    assert shell("restart", "web") == "web\n"
    assert state(shell)["Status"] == "running"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--rm", "--restart", "always"],
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (
            ["--restart", "on-failure:x"],
            "invalid restart policy format: maximum retry count must be an integer",
        ),
        (
            ["--restart", "always:3"],
            "maximum retry count cannot be used with restart policy 'always'",
        ),
        (["--restart", "bogus"], "invalid restart policy 'bogus'"),
        (["--restart", "on-failure:-1"], "maximum retry count cannot be negative"),
    ],
)
def test_policies_that_are_none(shell: Shell, words: list[str], message: str) -> None:
    done = shell.run(*words, "true")
    assert done.returncode == 125
    assert message in done.stderr.decode()
    assert shell("ps", "-aq") == ""


def test_what_vanishes_waits_for_no_disk(shell: Shell) -> None:
    """Its changes are in a volatile overlay (Linux 5.10), as podman's are with --rm."""
    words = ("sh", "-c", "grep ' / ' /proc/mounts")
    assert b"volatile" in shell.run("--rm", *words).stdout
    assert b"volatile" not in shell.run("--name", "kept", *words).stdout


def test_what_vanishes_can_be_restarted(shell: Shell) -> None:
    """The kernel mounts no changes again that were volatile, unless somebody says that they can."""
    shell.run("-d", "--rm", "--name", "web", "sh", "-c", "echo x >> /f; sleep 1000")
    eventually(lambda: shell("exec", "web", "cat", "/f") == "x\n")
    shell("restart", "-t", "0", "web")
    eventually(lambda: shell("exec", "web", "cat", "/f") == "x\nx\n")
    shell("stop", "-t", "0", "web")
    eventually(lambda: shell("ps", "-aq") == "")

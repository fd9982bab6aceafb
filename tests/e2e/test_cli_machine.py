"""Containers that run while the machine does: `system start|stop|unit`, `start --all --filter`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from dockyard.base.oci.instance import RUN_ROOT, instance_id
from helpers.program import PROGRAM, Shell, eventually, parent_of

pytestmark = pytest.mark.root
POLICIES = ("no", "on-failure", "always", "unless-stopped")


def up(shell: Shell, name: str, policy: str, *words: str) -> None:
    done = shell.run("-d", "--name", name, "--restart", policy,
                     *(words or ("sleep", "1000")))  # fmt: skip
    assert done.returncode == 0, done.stderr


def running(shell: Shell) -> set[str]:
    return set(shell("ps", "--format", "{{.Names}}").split())


def crash(shell: Shell) -> None:
    """As a machine without power: every monitor is gone at once, and so is the run directory."""
    monitors = [
        parent_of(int(pid))
        for pid in shell("inspect", "-f", "{{.State.Pid}}", *running(shell)).split()
    ]
    for pid in monitors:
        os.kill(pid, signal.SIGSTOP)  # nobody acts upon another's end
    for pid in monitors:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in monitors))
    shutil.rmtree(f"{RUN_ROOT}/{instance_id(shell.root)}")


def test_after_a_crash(shell: Shell) -> None:
    """What dockerd does when it starts: docker's "Start containers automatically"."""
    for policy in POLICIES:
        up(shell, policy, policy)
    up(shell, "stopped", "unless-stopped")
    up(shell, "stopped-always", "always")
    shell("stop", "-t", "0", "stopped", "stopped-always")
    shell.run("--name", "done", "--restart", "on-failure", "true")
    shell("create", "--name", "never", "--restart", "always", "--rootfs", shell.tree, "true")
    crash(shell)
    done = shell.full("system", "start")
    assert (done.returncode, done.stderr) == (0, b"")
    assert running(shell) == {"on-failure", "always", "unless-stopped", "stopped-always"}
    assert shell("system", "start") == ""


def test_an_orderly_end_is_nobodys_wish(shell: Shell) -> None:
    """docker's "unless-stopped": only what somebody has stopped stays so."""
    for policy in POLICIES:
        up(shell, policy, policy)
    up(shell, "restless", "always", "true")
    assert set(shell("system", "stop", "-t", "0").split()) == {*POLICIES, "restless"}
    assert running(shell) == set()
    shell("ps")
    shell.run("--rm", "true")  # which starts what was cut off
    assert running(shell) == set()
    assert set(shell("system", "start").split()) == {*POLICIES, "restless"} - {"no"}
    shell("stop", "-t", "0", "unless-stopped")
    shell("system", "stop", "-t", "0")
    assert "unless-stopped" not in shell("system", "start").split()


def test_one_that_cannot_start_keeps_no_other(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    up(shell, "poor", "always", "--mount", f"type=bind,src={folder},dst=/x", "sleep", "1000")
    up(shell, "rich", "always")
    shell("system", "stop", "-t", "0")
    folder.rmdir()
    done = shell.full("system", "start")
    assert (done.returncode, done.stdout) == (1, b"rich\n")
    assert b"dockyard: poor: " in done.stderr


def test_all_of_them_and_some(shell: Shell) -> None:
    """podman-start(1), --all and --filter; podman-restart.service starts containers so."""
    for policy in POLICIES:
        up(shell, policy, policy)
    shell("stop", "-t", "0", "--filter", "restart-policy=always", "--filter",
          "restart-policy=no")  # fmt: skip
    assert running(shell) == {"on-failure", "unless-stopped"}
    assert shell("start", "--all", "--filter", "restart-policy=always") == "always\n"
    assert shell("ps", "-q", "--filter", "restart-policy=always").count("\n") == 1
    shell("stop", "-t", "0", "--all")
    assert running(shell) == set()
    shell("start", "--all")
    assert running(shell) == set(POLICIES)
    for words in (["start"], ["start", "--all", "always"], ["stop", "--filter", "frob=1"],
                  ["start", "-a", "--all"]):  # fmt: skip
        done = shell.full(*words)
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr


def test_the_unit(shell: Shell, tmp_path: Path) -> None:
    """systemd itself takes it, and what it would run is this program on this data root."""
    text = shell("system", "unit")
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert line == f"ExecStart={PROGRAM[0]} --data-dir {shell.root} system start"
    verify = shutil.which("systemd-analyze")
    assert verify  # of the package systemd
    place = tmp_path / "dockyard.service"
    place.write_text(text)
    done = subprocess.run([verify, "verify", str(place)], capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    about = [line for line in done.stderr.splitlines() if "dockyard" in line]
    assert about == []

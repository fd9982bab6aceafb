"""`dockyard run --runtime`: the monitor is ours, the container another runtime's."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from helpers.program import Shell, Terminal, eventually, parent_of

pytestmark = pytest.mark.root

WRAPPER = """#!/bin/sh
exec unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun "$@"' crun "$@"
"""
"""crun 1.8 takes a hybrid layout of control groups for a broken one."""


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if shutil.which(request.param) is None:
        pytest.fail(f"{request.param} is not installed: tools/system-packages.txt has it")
    if request.param == "runc":
        return "runc"
    path = tmp_path / "crun-here"
    path.write_text(WRAPPER)
    path.chmod(0o755)
    return str(path)


def test_in_front(shell: Shell, runtime: str) -> None:
    text = "cat; echo bad >&2; echo $HOME; exit 3"
    done = shell.run("--rm", "-i", "--runtime", runtime, "sh", "-c", text, stdin=b"typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"typed\n/root\n", b"bad\n")
    assert shell("ps", "-aq") == ""


@pytest.mark.parametrize(
    ("program", "code"), [("nope", 127), ("/etc/passwd", 126), ("/no/such", 127)]
)
def test_exit_codes(shell: Shell, runtime: str, program: str, code: int) -> None:
    done = shell.run("--rm", "--runtime", runtime, program)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(b"dockyard: ")
    assert shell("ps", "-aq") == ""


def test_a_life_in_the_background(shell: Shell, runtime: str) -> None:
    shell.run("-d", "--name", "web", "--runtime", runtime, "-m", "64m", "-v", "data:/data", "sh",
              "-c", "echo started; echo kept > /data/f; exec sleep 1000")  # fmt: skip
    assert shell("ps", "--format", "{{.Names}} {{.State}}") == "web running\n"
    eventually(lambda: shell("logs", "web") == "started\n")
    assert shell("exec", "-i", "-e", "A=1", "-w", "/tmp", "web", "sh", "-c", "cat; pwd; echo $A",
                 stdin=b"in\n") == "in\n/tmp\n1\n"  # fmt: skip
    assert shell.full("exec", "web", "sh", "-c", "exit 7").returncode == 7
    assert shell.full("exec", "web", "nope").returncode == 127
    for _ in range(5):
        assert shell.full("exec", "web", "true").returncode == 0
    assert shell("exec", "-d", "web", "touch", "/tmp/by-exec") == ""
    eventually(lambda: "A /tmp/by-exec" in shell("diff", "web"))
    assert "sleep 1000" in shell("top", "web")
    assert "/ 64MiB" in shell("stats", "--no-stream", "web")
    shell("pause", "web")
    assert "(Paused)" in shell("ps")
    shell("unpause", "web")
    shell("update", "-m", "96m", "web")
    assert "/ 96MiB" in shell("stats", "--no-stream", "web")
    assert Path(shell("inspect", "-f", "{{.HostConfig.Runtime}}", "web").strip()).name in (
        "runc", "crun-here"
    )  # fmt: skip
    assert shell("stop", "-t", "0", "web") == "web\n"
    assert "Exited (137)" in shell("ps", "-a")
    shell("start", "web")
    assert shell("exec", "web", "cat", "/data/f") == "kept\n"
    shell("kill", "web")
    assert shell("wait", "web") == "137\n"
    assert shell("rm", "-v", "web") == "web\n"


def test_it_has_a_network(shell: Shell, runtime: str) -> None:
    shell("run", "-d", "--name", "web", "--runtime", runtime, "--rootfs", shell.tree, "sleep",
          "1000")  # fmt: skip
    address = shell("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web").strip()
    assert shell("exec", "web", "hostname", "-i") == f"{address}\n"


def test_a_terminal(shell: Shell, runtime: str) -> None:
    words = ("--rm", "-it", "--name", "tty", "--network", "none", "--runtime", runtime, "--rootfs",
             shell.tree)  # fmt: skip
    term = Terminal(shell, "run", *words, "sh")
    term.expect(b"# ")
    term.type(b"tty; echo TERM=$TERM\r")
    term.expect(b"/dev/pts/0")
    term.expect(b"TERM=xterm")
    term.resize(33, 101)
    term.type(b"sleep 0.1; stty size\r")
    term.expect(b"33 101")
    inner = Terminal(shell, "exec", "-it", "tty", "sh")
    inner.expect(b"# ")
    inner.type(b"exit 6\r")
    assert inner.code() == 6
    term.type(b"exit 5\r")
    assert term.code() == 5
    assert shell("ps", "-aq") == ""


def test_a_health_check_and_a_restart_policy(shell: Shell, runtime: str) -> None:
    shell.run("-d", "--name", "web", "--runtime", runtime, "--restart", "on-failure:1",
              "--health-cmd", "true", "--health-interval", "100ms", "sleep", "1000")  # fmt: skip
    eventually(lambda: "(healthy)" in shell("ps"))
    os.kill(int(shell("inspect", "-f", "{{.State.Pid}}", "web")), signal.SIGKILL)
    eventually(lambda: shell("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "web")
               == "1 running\n")  # fmt: skip


def test_g08_a_monitor_that_was_killed_leaves_nothing(shell: Shell, runtime: str) -> None:
    shell.run("-d", "--name", "web", "--runtime", runtime, "sleep", "1000")
    pid = int(shell("inspect", "-f", "{{.State.Pid}}", "web"))
    monitor = parent_of(pid)
    os.kill(monitor, signal.SIGKILL)
    eventually(lambda: "Exited (137)" in shell("ps", "-a"))
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    shell("start", "web")
    assert shell.full("exec", "web", "true").returncode == 0


def test_runtimes_that_are_none(shell: Shell, tmp_path: Path) -> None:
    done = shell.run("--runtime", "nosuch", "true")
    assert (done.returncode, b"Unknown runtime specified nosuch" in done.stderr) == (125, True)
    (tmp_path / "broken").write_text("#!/bin/sh\necho no >&2; exit 9\n")
    (tmp_path / "broken").chmod(0o755)
    done = shell.run("--rm", "--runtime", str(tmp_path / "broken"), "true")
    assert (done.returncode, b"broken create: exit code 9" in done.stderr) == (125, True)
    (tmp_path / "liar").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "liar").chmod(0o755)
    done = shell.run("--rm", "--runtime", str(tmp_path / "liar"), "true")
    assert (done.returncode, b"it has written no pid" in done.stderr) == (125, True)
    assert shell("ps", "-aq") == ""

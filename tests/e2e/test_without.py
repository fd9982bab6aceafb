"""`run --without WALL`: the same command with the wall and without, and what the kernel shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.textshell import TextShell, made

pytestmark = pytest.mark.root


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[TextShell]:
    yield from made(tmp_path / "data", rootfs.make(tmp_path / "tree"))


def out(shell: TextShell, without: str, script: str) -> str:
    """What a shell in a container prints."""
    network = [] if without == "net" else ["--network", "none"]
    walls = ["--without", without] if without else []
    return shell("run", "--rm", *network, *walls, "--rootfs", shell.tree, "sh", "-c",
                 script).strip()  # fmt: skip


@pytest.mark.parametrize("wall", ["pid", "net", "ipc", "uts", "cgroup"])
def test_a_namespace(shell: TextShell, wall: str) -> None:
    host = str(Path(f"/proc/self/ns/{wall}").readlink())
    script = f"readlink /proc/self/ns/{wall}"
    assert out(shell, "", script) != host
    assert out(shell, wall, script) == host


def test_the_pid_wall(shell: TextShell) -> None:
    assert out(shell, "", "echo $$") == "1"
    assert int(out(shell, "pid", "echo $$")) > 1
    # what this test runs as is there
    assert out(shell, "pid", f"test -d /proc/{os.getpid()} && echo seen") == "seen"
    assert out(shell, "", f"test -d /proc/{os.getpid()} && echo seen || echo none") == "none"


def test_without_a_pid_namespace_nothing_lives_on(shell: TextShell) -> None:
    """The kernel ends a namespace's processes with its first; without one, the group does."""
    pid = out(shell, "pid", "sleep 1000 & echo $!")
    state = Path(f"/proc/{pid}/stat")
    # ended, whether or not this machine's first process has reaped it
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_seccomp_wall(shell: TextShell) -> None:
    script = "sed -n 's/^Seccomp:\\s*//p' /proc/self/status"
    assert (out(shell, "", script), out(shell, "seccomp", script)) == ("2", "0")


def test_the_wall_of_capabilities(shell: TextShell) -> None:
    script = "sed -n 's/^CapEff:\\s*//p' /proc/self/status"
    mine = next(
        line.split()[1]
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapBnd:")
    )
    assert out(shell, "", script) == "00000000a80425fb"  # capsh --decode: Docker's fourteen
    assert out(shell, "caps", script) == mine


def test_the_masks(shell: TextShell) -> None:
    """/proc/keys is one that Docker masks, /proc/sys one that it makes read-only."""
    assert out(shell, "", "cat /proc/keys; echo -n $?") == "0"
    assert out(shell, "masks", "test -s /proc/version; ls -ld /proc/keys").startswith("-r--r--r--")
    assert out(shell, "", "ls -ld /proc/keys").startswith("crw-rw-rw-")
    line = "grep -c ' /proc/sys ' /proc/mounts || true"
    assert (out(shell, "", line), out(shell, "masks", line)) == ("1", "0")


def test_the_wall_around_devices(shell: TextShell) -> None:
    """The kernel's log, to be opened only: null(4) and its like are open to all."""
    script = "mknod /log c 1 11; { exec 3>/log; } 2>/dev/null && echo open || echo refused"
    script = f"sh -c '{script}' || echo refused"
    assert (out(shell, "", script), out(shell, "devices", script)) == ("refused", "open")


def test_several_at_once_and_exec(shell: TextShell) -> None:
    shell.full("run", "-d", "--name", "bare", "--network", "none", "--without", "pid,caps,seccomp",
               "--rootfs", shell.tree, "sleep", "1000")  # fmt: skip
    done = shell.full("exec", "bare", "sh", "-c",
                      "grep -c 0000001f /proc/self/status; readlink /proc/self/ns/pid")  # fmt: skip
    assert done.stdout.splitlines()[1] == str(Path("/proc/self/ns/pid").readlink())
    status = shell.full("exec", "bare", "cat", "/proc/self/status").stdout
    assert "Seccomp:\t0" in status
    assert shell.full("inspect", "-f", "{{.HostConfig.PidMode}}", "bare").stdout == "host\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnt"], "dockyard chroot DIR"),
        (["frob"], "walls that can be left out"),
        (["net"], "conflicting options: --without net and --network"),
        (["time"], "unless it is asked for one"),
    ],
)
def test_what_cannot_be_left_out(shell: TextShell, words: list[str], message: str) -> None:
    done = shell.full("run", "--rm", "--network", "none", "--without", *words, "--rootfs",
                      shell.tree, "true")  # fmt: skip
    assert done.returncode == 125
    assert message in done.stderr
    assert shell.full("ps", "-aq").stdout == ""

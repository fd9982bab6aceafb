"""`run --without WALL`: the same command with the wall and without, and what the kernel shows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import leaks, rootfs

pytestmark = pytest.mark.root
PROGRAM = str(Path(sys.executable).parent / "dockyard")


class Shell:
    """Runs the program on a data root of its own."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.root, self.tree = root, str(tree)

    def full(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "DOCKYARD_ROOT": str(self.root)})  # fmt: skip

    def out(self, without: str, script: str) -> str:
        """What a shell in a container prints."""
        network = [] if without == "net" else ["--network", "none"]
        walls = ["--without", without] if without else []
        done = self.full("run", "--rm", *network, *walls, "--rootfs", self.tree, "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    found = Shell(tmp_path / "data", rootfs.make(tmp_path / "tree"))
    yield found
    if left := found.full("ps", "-aq").stdout.split():
        found.full("rm", "-f", *left)
    assert leaks.left_behind(found.root) == []


@pytest.mark.parametrize("wall", ["pid", "net", "ipc", "uts", "cgroup"])
def test_a_namespace(shell: Shell, wall: str) -> None:
    host = str(Path(f"/proc/self/ns/{wall}").readlink())
    script = f"readlink /proc/self/ns/{wall}"
    assert shell.out("", script) != host
    assert shell.out(wall, script) == host


def test_the_pid_wall(shell: Shell) -> None:
    assert shell.out("", "echo $$") == "1"
    assert int(shell.out("pid", "echo $$")) > 1
    # what this test runs as is there
    assert shell.out("pid", f"test -d /proc/{os.getpid()} && echo seen") == "seen"
    assert shell.out("", f"test -d /proc/{os.getpid()} && echo seen || echo none") == "none"


def test_without_a_pid_namespace_nothing_lives_on(shell: Shell) -> None:
    """The kernel ends a namespace's processes with its first; without one, the group does."""
    out = shell.out("pid", "sleep 1000 & echo $!")
    state = Path(f"/proc/{out}/stat")
    # ended, whether or not this machine's first process has reaped it
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_seccomp_wall(shell: Shell) -> None:
    script = "sed -n 's/^Seccomp:\\s*//p' /proc/self/status"
    assert (shell.out("", script), shell.out("seccomp", script)) == ("2", "0")


def test_the_wall_of_capabilities(shell: Shell) -> None:
    script = "sed -n 's/^CapEff:\\s*//p' /proc/self/status"
    mine = next(
        line.split()[1]
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapBnd:")
    )
    assert shell.out("", script) == "00000000a80425fb"  # capsh --decode: Docker's fourteen
    assert shell.out("caps", script) == mine


def test_the_masks(shell: Shell) -> None:
    """/proc/keys is one that Docker masks, /proc/sys one that it makes read-only."""
    assert shell.out("", "cat /proc/keys; echo -n $?") == "0"
    assert shell.out("masks", "test -s /proc/version; ls -ld /proc/keys").startswith("-r--r--r--")
    assert shell.out("", "ls -ld /proc/keys").startswith("crw-rw-rw-")
    line = "grep -c ' /proc/sys ' /proc/mounts || true"
    assert (shell.out("", line), shell.out("masks", line)) == ("1", "0")


def test_the_wall_around_devices(shell: Shell) -> None:
    """The kernel's log, to be opened only: null(4) and its like are open to all."""
    script = "mknod /log c 1 11; { exec 3>/log; } 2>/dev/null && echo open || echo refused"
    script = f"sh -c '{script}' || echo refused"
    assert (shell.out("", script), shell.out("devices", script)) == ("refused", "open")


def test_several_at_once_and_exec(shell: Shell) -> None:
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
def test_what_cannot_be_left_out(shell: Shell, words: list[str], message: str) -> None:
    done = shell.full("run", "--rm", "--network", "none", "--without", *words, "--rootfs",
                      shell.tree, "true")  # fmt: skip
    assert done.returncode == 125
    assert message in done.stderr
    assert shell.full("ps", "-aq").stdout == ""

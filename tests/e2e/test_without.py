"""`run --without WALL`: the same command with the wall and without, and what the kernel shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.program import PROGRAM
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


@pytest.mark.parametrize("wall", ["pid", "net", "mnt", "ipc", "uts", "cgroup"])
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


def mounted(shell: TextShell) -> list[str]:
    """What is mounted below the containers' folder, as this test sees it."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if str(shell.root) in line.split()[1]]


def bare(shell: TextShell, *options: str) -> int:
    """A container in the background that has no mount namespace; its first process."""
    shell("run", "-d", "--name", "bare", "--network", "none", "--without", "mnt", *options,
          "--rootfs", shell.tree, "sleep", "1000")  # fmt: skip
    return int(shell("inspect", "-f", "{{.State.Pid}}", "bare"))


def test_the_wall_of_mounts(shell: TextShell, tmp_path: Path) -> None:
    """Its mounts lie among the machine's, and its root is a part of the machine's tree."""
    shared = tmp_path / "shared"
    shared.mkdir()
    pid = bare(shell, "-v", f"{shared}:/inside", "--tmpfs", "/scratch")
    places = mounted(shell)
    tops = {place for place in places if place.endswith("/rootfs")}
    assert len(tops) == 1
    for below in ("/proc", "/dev/pts", "/sys", "/inside", "/scratch", "/etc/hosts"):
        assert f"{next(iter(tops))}{below}" in places
    assert Path(f"/proc/{pid}/root").readlink() == Path(next(iter(tops)))
    # a command in it has the same root, and what is masked is masked there and nowhere else
    assert shell("exec", "bare", "sh", "-c", "echo x > /inside/file; pwd; cat /proc/keys") == "/\n"
    assert (shared / "file").read_text() == "x\n"
    assert Path("/proc/keys").read_text()
    assert shell("rm", "-f", "bare") == "bare\n"
    assert mounted(shell) == []
    assert (shared / "file").exists()


def test_without_mounts_of_its_own_it_starts_again(shell: TextShell) -> None:
    bare(shell)
    for verb in ("stop", "start", "restart"):
        shell(verb, *(["-t", "0"] if verb != "start" else []), "bare")
        assert (mounted(shell) == []) == (verb == "stop")
    shell("kill", "bare")
    shell("wait", "bare")
    shell("start", "bare")
    assert len({place for place in mounted(shell) if place.endswith("/rootfs")}) == 1


def test_a_killed_monitor_leaves_no_mount(shell: TextShell) -> None:
    """Nobody but who looks next can take them away then."""
    pid = bare(shell, "-v", "/etc:/outer:ro")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    os.kill(int(fields[1]), signal.SIGKILL)
    assert shell.until("Exited (137)", "ps", "-a")
    assert mounted(shell) == []
    shell("rm", "bare")
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize("words", [["nowhere"], ["--mount", "type=tmpfs,dst=/proc/inner", "true"]])
def test_a_start_that_fails_leaves_no_mount(shell: TextShell, words: list[str]) -> None:
    *options, program = words
    done = shell.full("run", "--rm", "--network", "none", "--without", "mnt", *options, "--rootfs",
                      shell.tree, program)  # fmt: skip
    assert done.returncode in (125, 126, 127)
    assert mounted(shell) == []


def test_a_tree_without_a_wall_spreads_nowhere(shell: TextShell, tmp_path: Path) -> None:
    """The data root on a shared mount, as systemd makes all: another namespace that receives from
    it gets nothing of what is mounted in the tree."""
    script = (
        'mount -t tmpfs shared "$1" && mount --make-shared "$1" && mkdir "$1/data" && '
        'unshare -m --propagation slave sh -c "echo up; read _; cat /proc/self/mounts" '
        '<"$2" >"$3" & exec 9>"$2"; export DOCKYARD_ROOT="$1/data"; '
        "dockyard run -d --name far --network none --without mnt --rootfs "
        '"$4" sleep 1000 >/dev/null && echo look >&9; wait; '
        'grep -c rootfs/proc /proc/self/mounts; dockyard rm -f far; umount "$1"'
    )
    place, gate, seen = tmp_path / "m", tmp_path / "gate", tmp_path / "seen"
    place.mkdir()
    os.mkfifo(gate)
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, "bash", place, gate, seen, shell.tree],
        capture_output=True, text=True, timeout=60,
        env={**shell.env, "PATH": f"{Path(PROGRAM[0]).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 0
    assert "rootfs/" not in seen.read_text()


def test_what_a_missing_wall_means_is_explained(shell: TextShell) -> None:
    words = ("run", "--rm", "--network", "none", "--rootfs", shell.tree, "--without", "mnt,uts")
    told = shell.full(*words, "--explain", "true").stderr
    assert "without mnt: its mounts lie among the machine's" in told
    assert "without uts: " in told
    assert "chroot(" in told
    assert "pivot_root(" not in told
    assert "CLONE_NEWNS" not in told
    first = json.loads(shell.full(*words, "--explain=json", "true").stderr.splitlines()[0])
    assert (first["without"], "among the machine's" in first["means"]) == ("mnt", True)


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
        (["user"], "unless it is asked for one"),
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

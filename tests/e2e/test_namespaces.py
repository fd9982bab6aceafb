"""`dockyard namespaces` against the kernel's own links and util-linux's lsns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import leaks, rootfs

pytestmark = pytest.mark.root
PROGRAM = str(Path(sys.executable).parent / "dockyard")
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


class Shell:
    """Runs the program on a data root of its own."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.root, self.tree = root, str(tree)

    def full(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "DOCKYARD_ROOT": str(self.root)})  # fmt: skip

    def __call__(self, *words: str) -> str:
        done = self.full(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, *options: str) -> int:
        """A container that sleeps; its first process."""
        self("run", "-d", "--name", name, "--network", "none", *options, "--rootfs", self.tree,
             "sleep", "1000")  # fmt: skip
        return int(self("inspect", "-f", "{{.State.Pid}}", name))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    found = Shell(tmp_path / "data", rootfs.make(tmp_path / "tree"))
    yield found
    if left := found("ps", "-aq").split():
        found("rm", "-f", *left)
    assert leaks.left_behind(found.root) == []


def number(kind: str, pid: int | str) -> int:
    return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino


def test_what_a_container_has_of_its_own_and_what_it_shares(shell: Shell) -> None:
    pid = shell.start("web", "--uts", "host")
    rows = json.loads(shell("namespaces", "--output", "json", "web"))["namespaces"]
    assert [row["type"] for row in rows] == list(KINDS)
    for row in rows:
        kind = row["type"]
        assert row["ns"] == number(kind, pid)
        shared = row["ns"] == number(kind, "self")
        assert shared == (kind in ("time", "user", "uts"))
        assert row["containers"] == (["host", "web"] if shared else ["web"])
        assert pid in row["pids"]
        if not shared:
            assert (row["nprocs"], row["pid"], row["command"]) == (1, pid, "sleep 1000")
            assert row["user"] == "root"


def test_who_shares_with_whom(shell: Shell) -> None:
    pid = shell.start("web")
    other = shell.start("side", "--pid", "container:web", "--ipc", "container:web")
    [row] = json.loads(shell("namespaces", "-t", "pid", "--output", "json", "side"))["namespaces"]
    assert (row["ns"], row["containers"]) == (number("pid", pid), ["side", "web"])
    assert set(row["pids"]) == {pid, other}
    lines = shell("namespaces", "--noheadings", "-t", "ipc,net", "web").splitlines()
    assert [line.split()[1] for line in lines] == ["ipc", "net"]
    assert lines[0].endswith("side, web")
    assert lines[1].endswith(" web")


def test_lsns_sees_the_same(shell: Shell) -> None:
    shell.start("web")
    columns = "NS,TYPE,NPROCS,PID,USER"
    peer = subprocess.run(["lsns", "-J", "-o", columns], capture_output=True, text=True, check=True)
    theirs = {row["ns"]: row for row in json.loads(peer.stdout)["namespaces"]}
    [web] = {line.split()[3] for line in shell("namespaces", "-n", "-t", "pid", "web").splitlines()}
    ours = json.loads(shell("namespaces", "--task", web, "--output", "json"))["namespaces"]
    assert len(ours) == len(KINDS)
    for row in ours:
        if "host" not in row["containers"]:  # the machine's own change meanwhile
            assert {key: row[key] for key in ("ns", "type", "nprocs", "pid", "user")} == theirs[
                row["ns"]
            ]


def test_headings_and_refusals(shell: Shell) -> None:
    heading = shell("namespaces").splitlines()[0]
    assert heading.split() == ["NS", "TYPE", "NPROCS", "PID", "USER", "COMMAND", "CONTAINERS"]
    for words, message in (
        (["nobody"], "No such container: nobody"),
        (["--type", "net,frob"], "'frob': unknown; one of cgroup"),
        (["--task", "999999999"], "no such process"),
    ):
        done = shell.full("namespaces", *words)
        assert (done.returncode, message in done.stderr) == (1, True)
    shell("create", "--name", "made", "--rootfs", shell.tree, "true")
    done = shell.full("namespaces", "made")
    assert "dockyard start made" in done.stderr


def test_a_command_line_cannot_steer_the_terminal(shell: Shell) -> None:
    shell("run", "-d", "--name", "evil", "--network", "none", "--rootfs", shell.tree,
          "sh", "-c", "sleep 1000; : \x1b[2J")  # fmt: skip
    assert "\x1b" not in shell("namespaces", "--no-trunc", "evil")

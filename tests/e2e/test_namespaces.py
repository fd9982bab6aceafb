"""`dockyard namespaces` against the kernel's own links and util-linux's lsns."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.textshell import TextShell, made

pytestmark = pytest.mark.root
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[TextShell]:
    yield from made(tmp_path / "data", rootfs.make(tmp_path / "tree"))


def start(shell: TextShell, name: str, *options: str) -> int:
    """A container that sleeps; its first process."""
    shell("run", "-d", "--name", name, "--network", "none", *options, "--rootfs", shell.tree,
          "sleep", "1000")  # fmt: skip
    return int(shell("inspect", "-f", "{{.State.Pid}}", name))


def number(kind: str, pid: int | str) -> int:
    return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino


def test_what_a_container_has_of_its_own_and_what_it_shares(shell: TextShell) -> None:
    pid = start(shell, "web", "--uts", "host")
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


def test_who_shares_with_whom(shell: TextShell) -> None:
    pid = start(shell, "web")
    other = start(shell, "side", "--pid", "container:web", "--ipc", "container:web")
    [row] = json.loads(shell("namespaces", "-t", "pid", "--output", "json", "side"))["namespaces"]
    assert (row["ns"], row["containers"]) == (number("pid", pid), ["side", "web"])
    assert set(row["pids"]) == {pid, other}
    lines = shell("namespaces", "--noheadings", "-t", "ipc,net", "web").splitlines()
    assert [line.split()[1] for line in lines] == ["ipc", "net"]
    assert lines[0].endswith("side, web")
    assert lines[1].endswith(" web")


def test_lsns_sees_the_same(shell: TextShell) -> None:
    start(shell, "web")
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


def test_headings_and_refusals(shell: TextShell) -> None:
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


def test_a_command_line_cannot_steer_the_terminal(shell: TextShell) -> None:
    shell("run", "-d", "--name", "evil", "--network", "none", "--rootfs", shell.tree,
          "sh", "-c", "sleep 1000; : \x1b[2J")  # fmt: skip
    assert "\x1b" not in shell("namespaces", "--no-trunc", "evil")

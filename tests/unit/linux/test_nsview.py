"""Processes and namespaces out of a /proc that the test has written: proc(5)."""

from __future__ import annotations

import os
from pathlib import Path

from dockyard.base.linux.nsview import group_up, named, processes


def put(proc: Path, number: int, command: bytes, cgroup: str = "0::/\n", **spaces: int) -> None:
    folder = proc / str(number)
    (folder / "ns").mkdir(parents=True)
    (folder / "cmdline").write_bytes(command)
    (folder / "comm").write_text("kernel\n")
    (folder / "cgroup").write_text(cgroup)
    for kind, inode in spaces.items():
        (folder / "ns" / kind).symlink_to(f"{kind}:[{inode}]")


def test_processes_are_grouped_by_where_they_live(tmp_path: Path) -> None:
    put(tmp_path, 10, b"sh\0-c\0x\0", "3:pids:/dockyard/ab/c1\n0::/\n", mnt=7, net=1)
    put(tmp_path, 9, b"", mnt=5, net=1)
    put(tmp_path, 11, b"init\0", "0::/above/dockyard/ab/c2/inner\n", mnt=5)
    (tmp_path / "self").symlink_to("9")
    found = list(processes("/dockyard/ab/", str(tmp_path)))
    assert [(p.pid, p.command, p.container) for p in found] == [
        (9, "kernel", ""), (10, "sh -c x", "c1"), (11, "init", "c2")
    ]  # fmt: skip
    spaces = group_up(found, ("net", "mnt"))
    assert [(s.kind, s.inode, [p.pid for p in s.members]) for s in spaces] == [
        ("net", 1, [9, 10]), ("mnt", 5, [9, 11]), ("mnt", 7, [10])
    ]  # fmt: skip


def test_a_process_that_ends_meanwhile_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, 1, b"init\0", mnt=1)
    put(tmp_path, 2, b"gone\0", mnt=1)
    (tmp_path / "2" / "cgroup").unlink()
    (tmp_path / "3").mkdir()
    assert [p.pid for p in processes("/dockyard/ab/", str(tmp_path))] == [1]


def test_a_container_without_a_control_group_is_its_pid_namespace(tmp_path: Path) -> None:
    put(tmp_path, os.getpid(), b"me\0", pid=1)
    put(tmp_path, 20, b"init\0", pid=5)
    put(tmp_path, 21, b"child\0", pid=5)
    put(tmp_path, 22, b"shares\0", pid=1)
    put(tmp_path, 23, b"other\0", "0::/dockyard/ab/c9\n", pid=5)
    found = named(processes("/dockyard/ab/", str(tmp_path)), {20: "c1", 22: "c2"})
    names = {process.pid: process.container for process in found}
    assert names == {os.getpid(): "", 20: "c1", 21: "c1", 22: "c2", 23: "c9"}

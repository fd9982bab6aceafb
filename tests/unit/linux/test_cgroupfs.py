"""Where controllers are, as mountinfo says it (proc(5), cgroups(7)); files of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.base.errors import Unsupported
from dockyard.base.linux import cgroupfs

V1 = """\
25 20 0:21 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
26 25 0:22 / /sys/fs/cgroup/systemd rw,relatime shared:10 - cgroup cgroup rw,xattr,name=systemd
27 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:11 - cgroup cgroup rw,cpu,cpuacct
28 25 0:24 / /sys/fs/cgroup/memory rw,relatime shared:12 - cgroup cgroup rw,memory
"""
HYBRID = V1 + "29 25 0:25 / /sys/fs/cgroup/unified rw,relatime shared:13 - cgroup2 cgroup2 rw\n"
V2 = "30 20 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_1() -> None:
    found = cgroupfs.parse_mounts(V1)
    assert found.v1 == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }
    assert found.roots == (
        "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd",
    )  # fmt: skip
    assert found.v2 == ""
    assert not found.pure


def test_hybrid() -> None:
    found = cgroupfs.parse_mounts(HYBRID)
    assert found.v2 == "/sys/fs/cgroup/unified"
    assert found.v1["memory"] == "/sys/fs/cgroup/memory"
    assert not found.pure


def test_version_2() -> None:
    found = cgroupfs.parse_mounts(V2)
    assert (found.v1, found.v2, found.pure) == ({}, "/sys/fs/cgroup", True)


def test_what_is_mounted_whole_and_where_it_is_usual_comes_first() -> None:
    copy = "40 20 0:24 /docker/a /var/lib/x/memory rw - cgroup cgroup rw,memory\n"
    other = "41 20 0:24 / /mnt/memory rw - cgroup cgroup rw,memory\n"
    for text in (copy + other + V1, V1 + other + copy):
        assert cgroupfs.parse_mounts(text).v1["memory"] == "/sys/fs/cgroup/memory"
    assert cgroupfs.parse_mounts(copy + other).v1["memory"] == "/mnt/memory"
    assert cgroupfs.parse_mounts(copy).v1["memory"] == "/var/lib/x/memory"


def test_names_with_blanks() -> None:
    line = r"28 25 0:24 / /mnt/a\040b rw - cgroup cgroup rw,pids" + "\n"
    assert cgroupfs.parse_mounts(line).v1["pids"] == "/mnt/a b"


def test_files(tmp_path: Path) -> None:
    (tmp_path / "pids.max").write_text("max\n")
    (tmp_path / "pids.current").write_text("7\n")
    (tmp_path / "memory.stat").write_text("anon 5\nfile 9\nodd\n")
    assert cgroupfs.number(f"{tmp_path}/pids.max") == -1
    assert cgroupfs.number(f"{tmp_path}/pids.current") == 7
    assert cgroupfs.number(f"{tmp_path}/missing") == 0
    assert cgroupfs.flat(f"{tmp_path}/memory.stat") == {"anon": 5, "file": 9}
    assert cgroupfs.flat(f"{tmp_path}/missing") == {}
    assert cgroupfs.read(f"{tmp_path}/missing/file") is None


def test_nested_keys() -> None:
    text = "8:16 rbytes=1459200 wbytes=314773504 rios=192\n8:0 \n"
    assert cgroupfs.parse_nested(text) == {
        "8:16": {"rbytes": "1459200", "wbytes": "314773504", "rios": "192"}, "8:0": {},
    }  # fmt: skip


def test_a_limit_that_the_kernel_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="does not count swap"):
        cgroupfs.write(f"{tmp_path}/memory.memsw.limit_in_bytes", "1")
    with pytest.raises(Unsupported, match=r"cpu\.idle: this kernel has no such limit"):
        cgroupfs.write(f"{tmp_path}/cpu.idle", "1")
    with pytest.raises(FileNotFoundError, match="the group is not there"):
        cgroupfs.write(f"{tmp_path}/gone/cpu.idle", "1")

"""Every mount option of config.md, each by its effect; idmapped mounts, copies, propagation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.linux import mounttable
from dockyard.base.linux.mounttable import Row

from .conftest import Box, Yard, refused

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A folder with a tmpfs below it: what recursive options are about."""
    top = tmp_path / "tree"
    (top / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", top / "below"], check=True)
    yield top
    subprocess.run(["umount", "-l", top / "below"], check=True)


def mounted(yard: Yard, *mounts: dict[str, Any], **linux: Any) -> Box:
    def change(spec: dict[str, Any]) -> None:
        spec["mounts"] += mounts
        spec["linux"].update(linux)

    return yard.box("sleep", "60", change=change)


def bind(source: Path, *options: str, to: str = "/m", **more: Any) -> dict[str, Any]:
    kind = () if {"bind", "rbind"} & set(options) else ("rbind",)
    return {"destination": to, "source": str(source), "options": [*kind, *options], **more}


def tmpfs(*options: str, to: str = "/m") -> dict[str, Any]:
    return {"destination": to, "type": "tmpfs", "source": "tmpfs", "options": [*options]}


def rows(box: Box) -> dict[str, Row]:
    return {row.point: row for row in mounttable.read(box.pid)}


# mount(8), "Filesystem-independent mount options", and how mountinfo shows each (proc(5))
@pytest.mark.parametrize(
    ("options", "there", "not_there"),
    [
        (["ro"], ["ro"], ["rw"]),
        (["ro", "rw"], ["rw"], ["ro"]),
        (["nosuid", "nodev", "noexec"], ["nosuid", "nodev", "noexec"], []),
        (["nosuid", "suid", "nodev", "dev", "noexec", "exec"], [], ["nosuid", "nodev", "noexec"]),
        (["noatime"], ["noatime"], ["relatime"]),
        (["noatime", "atime"], [], ["noatime"]),
        (["nodiratime"], ["nodiratime"], []),
        (["nodiratime", "diratime"], [], ["nodiratime"]),
        (["relatime"], ["relatime"], ["noatime"]),
        (["strictatime"], [], ["relatime", "noatime"]),
        (["strictatime", "nostrictatime", "norelatime", "relatime"], ["relatime"], []),
        (["nosymfollow"], ["nosymfollow"], []),
        (["nosymfollow", "symfollow"], [], ["nosymfollow"]),
        (["defaults"], ["rw"], ["nosuid", "nodev", "noexec"]),
    ],
    ids=lambda value: ",".join(value),
)
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_options_of_a_mount(
    yard: Yard, tmp_path: Path, kind: str, options: list[str], there: list[str],
    not_there: list[str],
) -> None:  # fmt: skip
    (tmp_path / "source").mkdir()
    mount = tmpfs(*options) if kind == "tmpfs" else bind(tmp_path / "source", *options)
    found = rows(mounted(yard, mount).start())["/m"].options
    assert set(there) <= found
    assert not set(not_there) & found


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["sync"], "sync"), (["dirsync"], "dirsync"), (["lazytime"], "lazytime"),
        (["mode=0711", "size=64k"], "size=64k"),
    ],
)  # fmt: skip
def test_options_of_a_file_system(yard: Yard, options: list[str], shown: str) -> None:
    found = rows(mounted(yard, tmpfs(*options)).start())["/m"]
    assert shown in found.data


@pytest.mark.parametrize(
    "options",
    [["sync", "async"], ["lazytime", "nolazytime"], ["silent", "loud"], ["iversion", "noiversion"],
     ["mand", "nomand"]],
    ids=lambda value: value[0],
)  # fmt: skip
def test_options_that_take_each_other_back(yard: Yard, options: list[str]) -> None:
    found = rows(mounted(yard, tmpfs(*options)).start())["/m"]
    assert not set(options) & found.data


def test_a_bind_mount_has_its_sources_options_unless_told(yard: Yard, tree: Path) -> None:
    subprocess.run(["mount", "-o", "remount,nosuid,nodev", tree / "below"], check=True)
    box = mounted(yard, bind(tree / "below", to="/kept"), bind(tree / "below", "suid", to="/told"))
    found = rows(box.start())
    assert {"nosuid", "nodev"} <= found["/kept"].options
    assert "nosuid" not in found["/told"].options
    assert "nodev" in found["/told"].options


def test_bind_is_one_mount_and_rbind_is_all(yard: Yard, tree: Path) -> None:
    box = mounted(yard, bind(tree, "bind", to="/one"), bind(tree, "rbind", to="/all")).start()
    found = rows(box)
    assert "/one" in found
    assert "/one/below" not in found
    assert {"/all", "/all/below"} <= set(found)


def test_readonly_is_the_top_only_and_rro_is_all(yard: Yard, tree: Path) -> None:
    box = mounted(yard, bind(tree, "ro", to="/top"), bind(tree, "rro", to="/all")).start()
    assert box.exec("touch", "/top/below/x").code == 0
    for path in ("/top/x", "/all/x", "/all/below/x"):
        assert "Read-only" in box.exec("touch", path).err


@pytest.mark.parametrize(
    ("option", "there", "not_there"),
    [
        ("rro", ["ro"], []), ("rnosuid", ["nosuid"], []), ("rnodev", ["nodev"], []),
        ("rnoexec", ["noexec"], []), ("rnoatime", ["noatime"], ["relatime"]),
        ("rnodiratime", ["nodiratime"], []), ("rstrictatime", [], ["relatime", "noatime"]),
        ("rrelatime", ["relatime"], []), ("rnosymfollow", ["nosymfollow"], []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_recursive_options(
    yard: Yard, tree: Path, option: str, there: list[str], not_there: list[str]
) -> None:
    found = rows(mounted(yard, bind(tree, option)).start())
    for point in ("/m", "/m/below"):
        assert set(there) <= found[point].options, point
        assert not set(not_there) & found[point].options, point


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ("rrw", "ro"), ("rsuid", "nosuid"), ("rdev", "nodev"), ("rexec", "noexec"),
        ("ratime", "noatime"), ("rdiratime", "nodiratime"), ("rsymfollow", "nosymfollow"),
        ("rnostrictatime", "strictatime"), ("rnorelatime", "noatime"),
    ],
)  # fmt: skip
def test_recursive_options_that_clear(yard: Yard, tree: Path, option: str, flag: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{flag}", tree / "below"], check=True)
    found = rows(mounted(yard, bind(tree, option)).start())
    assert flag not in found["/m/below"].options


# mount_namespaces(7), "SHARED SUBTREES"
@pytest.mark.parametrize("recursive", ["", "r"])
@pytest.mark.parametrize("name", ["private", "slave", "shared", "unbindable"])
def test_propagation(yard: Yard, tree: Path, name: str, recursive: str) -> None:
    subprocess.run(["mount", "--make-shared", tree / "below"], check=True)
    host = next(r for r in mounttable.read() if r.point == str(tree / "below"))
    box = mounted(yard, bind(tree / "below", f"{recursive}{name}")).start()
    found = rows(box)["/m"]
    seen = (found.shared == host.shared, found.master == host.shared, found.unbindable)
    assert seen == {
        "private": (False, False, False), "slave": (False, True, False),
        "shared": (True, False, False), "unbindable": (False, False, True),
    }[name]  # fmt: skip


def test_what_the_host_mounts_later_comes_in_and_nothing_goes_out(yard: Yard, tree: Path) -> None:
    shared = tree / "below"
    subprocess.run(["mount", "--make-shared", shared], check=True)
    for name in ("in", "out"):
        (shared / name).mkdir()

    def powerful(spec: dict[str, Any]) -> None:
        spec["mounts"] += [bind(shared, "rslave")]
        for kind in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][kind] = ["CAP_SYS_ADMIN"]
        del spec["linux"]["seccomp"]

    box = yard.box("sleep", "60", change=powerful).start()
    subprocess.run(["mount", "-t", "tmpfs", "late", shared / "in"], check=True)
    try:
        assert rows(box)["/m/in"].source == "late"
        assert box.exec("mount", "-t", "tmpfs", "x", "/m/out").code == 0
        assert str(shared / "out") not in {row.point for row in mounttable.read()}
    finally:
        subprocess.run(["umount", shared / "in"], check=True)


def test_what_a_container_mounts_comes_out_of_a_shared_one(yard: Yard, tree: Path) -> None:
    shared = tree / "below"
    subprocess.run(["mount", "--make-shared", shared], check=True)
    (shared / "out").mkdir()

    def powerful(spec: dict[str, Any]) -> None:
        spec["mounts"] += [bind(shared, "rshared")]
        for kind in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][kind] = ["CAP_SYS_ADMIN"]
        del spec["linux"]["seccomp"]

    box = yard.box("sleep", "60", change=powerful).start()
    assert box.exec("mount", "-t", "tmpfs", "x", "/m/out").code == 0
    try:
        assert str(shared / "out") in {row.point for row in mounttable.read()}
    finally:
        subprocess.run(["umount", shared / "out"], check=True)


@pytest.mark.parametrize("name", ["shared", "slave", "private", "unbindable", "rshared"])
def test_propagation_of_the_root(yard: Yard, name: str) -> None:
    box = mounted(yard, rootfsPropagation=name).start()
    found = rows(box)["/"]
    assert bool(found.shared) == (name in ("shared", "rshared"))
    assert found.unbindable == (name == "unbindable")
    groups = {row.shared for row in mounttable.read()} - {0}
    assert found.shared not in groups, "a peer group of the host's"
    assert bool(rows(box)["/proc"].shared) == (name == "rshared")
    # nothing of it is seen on the host, and what that had is there
    points = [row.point for row in mounttable.read()]
    assert not [point for point in points if point.startswith(str(yard.folder))]
    assert {"/", "/proc", "/sys"} <= set(points)


def test_a_root_that_is_a_slave_of_the_hosts(yard: Yard, tree: Path, lower: Path) -> None:
    top = tree / "below"
    subprocess.run(["mount", "--make-shared", top], check=True)
    subprocess.run(["cp", "-a", f"{lower}/.", top], check=True)
    (top / "late").mkdir()
    host = next(r for r in mounttable.read() if r.point == str(top))
    box = mounted(yard, rootfsPropagation="slave")
    box.launch = box.launch._replace(rootfs=None)
    box.launch.spec["root"]["path"] = str(top)  # type: ignore[index]
    box.start()
    assert rows(box)["/"].master == host.shared
    subprocess.run(["mount", "-t", "tmpfs", "x", top / "late"], check=True)
    try:
        assert "/late" in rows(box)
    finally:
        subprocess.run(["umount", top / "late"], check=True)
        box.delete()


@pytest.mark.parametrize("name", ["nonsense", "rrshared", "SHARED"])
def test_a_propagation_that_is_none(yard: Yard, name: str) -> None:
    assert "rootfsPropagation" in str(refused(mounted(yard, rootfsPropagation=name)))


def test_a_mount_that_is_there_gets_other_flags(yard: Yard) -> None:
    again = {"destination": "/m", "type": "tmpfs", "source": "x",
             "options": ["remount", "noexec", "size=128k"]}  # fmt: skip
    found = rows(mounted(yard, tmpfs("size=64k"), again).start())["/m"]
    assert "noexec" in found.options
    assert "size=128k" in found.data


def test_a_tmpfs_gets_what_lies_below_it(yard: Yard) -> None:
    box = mounted(yard, tmpfs("tmpcopyup", "mode=755", to="/data"))
    data = box.upper / "data"
    (data / "deep").mkdir(parents=True)
    (data / "file").write_bytes(b"x" * 3_000_000)
    (data / "deep/script").write_text("#!/bin/sh\n")
    (data / "deep/script").chmod(0o4751)
    os.chown(data / "file", 7, 8)
    (data / "link").symlink_to("/etc/passwd")
    os.mkfifo(data / "fifo", 0o600)
    data.chmod(0o700)
    box.start()
    assert rows(box)["/data"].kind == "tmpfs"
    listed = box.exec("stat", "-c", "%n %A %u %g", "/data", "/data/file", "/data/deep/script",
                      "/data/link", "/data/fifo").out.splitlines()  # fmt: skip
    assert listed == [
        "/data drwx------ 0 0", "/data/file -rw-r--r-- 7 8", "/data/deep/script -rwsr-x--x 0 0",
        "/data/link lrwxrwxrwx 0 0", "/data/fifo prw------- 0 0",
    ]  # fmt: skip
    assert box.exec("wc", "-c", "/data/file").out == "3000000 /data/file\n"
    box.exec("rm", "/data/file")
    assert (data / "file").exists()


def test_a_copy_that_does_not_fit(yard: Yard) -> None:
    box = mounted(yard, tmpfs("tmpcopyup", "size=64k", to="/data"))
    (box.upper / "data").mkdir()
    (box.upper / "data/file").write_bytes(b"x" * 200_000)
    assert "No space left" in str(refused(box))


def test_a_readonly_tmpfs_takes_the_mounts_that_follow(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/f").write_text("seen")
    box = mounted(yard, tmpfs("ro"), bind(tmp_path / "s", to="/m/inner")).start()
    assert box.exec("cat", "/m/inner/f").out == "seen"
    assert "Read-only" in box.exec("touch", "/m/x").err


def test_a_file_on_a_file(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("bound")
    box = mounted(yard, bind(tmp_path / "f", "ro", to="/etc/deep/f")).start()
    assert box.exec("cat", "/etc/deep/f").out == "bound"


def test_a_relative_destination_is_below_the_root(yard: Yard) -> None:
    assert rows(mounted(yard, tmpfs(to="rel/ative")).start())["/rel/ative"].kind == "tmpfs"


IDS = [{"containerID": 0, "hostID": 300_000, "size": 1000}]


def shown(source: Path, *options: str, **more: Any) -> dict[str, Any]:
    return bind(source, *options, uidMappings=IDS, gidMappings=IDS, **more)


def test_an_idmapped_mount_shows_other_owners(yard: Yard, tree: Path) -> None:
    """mount_setattr(2): 0 on disk is 300000 there; only the top, or all that lies below."""
    for place in (tree, tree / "below"):
        (place / "f").touch()
        os.chown(place / "f", 5, 6)
    box = mounted(yard, shown(tree, "idmap", to="/top"), shown(tree, "ridmap", to="/all"))
    box.start()
    out = box.exec("stat", "-c", "%u:%g", "/top/f", "/top/below/f", "/all/f", "/all/below/f").out
    assert out.split() == ["300005:300006", "5:6", "300005:300006", "300005:300006"]
    assert (tree / "f").stat().st_uid == 5


def test_an_idmapped_mount_of_the_containers_own_ids(yard: Yard, tree: Path) -> None:
    os.chown(tree / "below", 3, 4)
    ids = [{"containerID": 0, "hostID": 200_000, "size": 65_536}]
    box = mounted(yard, bind(tree, to="/plain"), bind(tree, "ridmap", to="/mapped"),
                  uidMappings=ids, gidMappings=ids)  # fmt: skip
    box.launch.spec["linux"]["namespaces"].append({"type": "user"})
    box.start()
    out = box.exec("stat", "-c", "%u:%g", "/plain/below", "/mapped/below").out
    assert out.split() == ["65534:65534", "3:4"]


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ({"options": ["rbind", "idmap"]}, "no mappings to use"),
        ({"options": ["rbind", "idmap"], "uidMappings": IDS}, "go together"),
        ({"options": ["rbind", "idmap"], "uidMappings": IDS * 2, "gidMappings": IDS}, "overlap"),
    ],
)
def test_a16_an_idmapped_mount_that_is_none(
    yard: Yard, tmp_path: Path, mount: dict[str, Any], text: str
) -> None:
    box = mounted(yard, {"destination": "/m", "source": str(tmp_path), **mount})
    assert text in str(refused(box))


def test_a16_a_file_system_without_idmapped_mounts(yard: Yard) -> None:
    box = mounted(yard, shown(Path("/proc/sys"), "idmap"))
    assert "mount /proc/sys on /m: idmap: its file system has no idmapped" in str(refused(box))
    assert box.groups() == []


def test_a_source_that_is_not_there(yard: Yard) -> None:
    error = str(refused(mounted(yard, bind(Path("/no/such/source")))))
    assert "/no/such/source on /m" in error
    assert "No such file" in error


@pytest.mark.parametrize("kind", ["mqueue", "ramfs", "devpts", "tmpfs", "proc", "sysfs"])
def test_kinds_of_file_systems(yard: Yard, kind: str) -> None:
    mount = {"destination": "/m" if kind != "proc" else "/proc", "type": kind, "source": kind}
    box = mounted(yard, mount)
    box.start()
    assert rows(box)[mount["destination"]].kind == kind


def test_a13_many_mounts(yard: Yard) -> None:
    box = mounted(yard, *[tmpfs(to=f"/m{i}") for i in range(4100)])
    assert "at most 4096" in str(refused(box))
    assert box.groups() == []

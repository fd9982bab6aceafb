"""Volumes: binds, names, and what an image brings at the path of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.base.errors import Conflict, NotFound
from dockyard.node.engine.config import MountSpec
from dockyard.node.volume.local import LocalVolumes
from dockyard.node.volume.populate import populate
from helpers.leaks import tree_hash

from .conftest import Yard

pytestmark = pytest.mark.root

ACL = "system.posix_acl_access"
SHARED = bytes.fromhex("02000000 01000700ffffffff 02000500e8030000 04000500ffffffff"
                       "10000500ffffffff 20000500ffffffff")  # fmt: skip
"""acl(5): 0755, and r-x for user 1000."""


def test_a_folder_of_the_host(yard: Yard, tmp_path: Path) -> None:
    place = tmp_path / "shared"
    mount = MountSpec("bind", str(place), "/data")
    assert yard.sh("echo x > /data/file", mounts=(mount,)) == (0, "")
    assert (place / "file").read_text() == "x\n"
    code, text = yard.sh(
        "cat /data/file; echo y > /data/file", mounts=(mount._replace(read_only=True),)
    )
    assert code == 1
    assert text.startswith("x\n")
    assert "Read-only" in text


def test_a_mount_in_words_makes_no_folder(yard: Yard, tmp_path: Path) -> None:
    missing = MountSpec("bind", str(tmp_path / "missing"), "/data", options=("no-create",))
    with pytest.raises(NotFound, match="bind source path does not exist"):
        yard.make("true", mounts=(missing,))
    assert yard.engine.list() == []


def test_a_file_over_a_file_of_etc_is_the_callers(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("1.2.3.4 mine\n")
    mount = MountSpec("bind", str(tmp_path / "hosts"), "/etc/hosts")
    assert yard.run("cat", "/etc/hosts", mounts=(mount,)) == (0, "1.2.3.4 mine\n")


def test_a16_host_users_do_not_reach_what_containers_write(yard: Yard) -> None:
    """A setuid program in an upper layer or a volume is the container's alone."""
    mount = MountSpec("volume", "data", "/data")
    yard.sh("cp /bin/busybox /data/; chmod 4755 /data/busybox", mounts=(mount,))
    box = yard.start("sleep", "100")
    for path in (Path(yard.engine.places.upper(box.id)), yard.root / "volumes/data/_data"):
        assert any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents
                   if yard.root in parent.parents)  # fmt: skip


def test_our_umask_is_not_the_containers(yard: Yard) -> None:
    before = os.umask(0o077)
    try:
        mount = MountSpec("volume", "fresh", "/fresh")
        _, text = yard.sh("stat -c %a / /fresh /etc/hosts /etc/resolv.conf; cat /etc/hosts",
                          user="app", mounts=(mount,))  # fmt: skip
    finally:
        os.umask(before)
    assert text.startswith("755\n755\n644\n644\n127.0.0.1\tlocalhost\n")


def test_a_volume_outlives_its_containers(yard: Yard) -> None:
    mount = MountSpec("volume", "data", "/data")
    yard.sh("echo x > /data/file", mounts=(mount,))
    assert yard.run("cat", "/data/file", mounts=(mount,)) == (0, "x\n")


def test_a_volume_starts_with_what_the_root_has_there(yard: Yard) -> None:
    place = yard.lower / "seeded"
    (place / "sub").mkdir(parents=True, exist_ok=True)
    (place / "sub/file").write_text("from the image")
    os.chown(place / "sub/file", 1000, 1000)
    place.chmod(0o750)
    mount = MountSpec("volume", "seed", "/seeded")
    _, text = yard.sh("stat -c %a /seeded; cat /seeded/sub/file; stat -c %u /seeded/sub/file; "
                      "rm -r /seeded/sub; touch /seeded/mine", mounts=(mount,))  # fmt: skip
    assert text == "750\nfrom the image1000\n"
    assert yard.run("ls", "/seeded", mounts=(mount,)) == (0, "mine\n"), (
        "only an empty one is filled"
    )
    empty = MountSpec("volume", "bare", "/seeded", options=("nocopy",))
    assert yard.run("ls", "/seeded", mounts=(empty,)) == (0, "")


def test_tmpfs(yard: Yard) -> None:
    mount = MountSpec("tmpfs", "", "/scratch", options=("size=1m",))
    _, text = yard.sh("grep /scratch /proc/mounts", mounts=(mount,))
    assert "tmpfs" in text
    assert "size=1024k" in text


def layer(folder: Path, files: dict[str, str]) -> str:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_copy_s_access_list_is_its_model_s(tmp_path: Path) -> None:
    bottom = layer(tmp_path / "bottom", {"data/sub/file": "x"})
    os.setxattr(f"{bottom}/data/sub/file", ACL, SHARED)
    (tmp_path / "volume").mkdir()
    assert populate(str(tmp_path / "volume"), [bottom], "/data")
    assert os.getxattr(tmp_path / "volume/sub/file", ACL) == SHARED


def test_layers_are_read_as_overlayfs_merges_them(tmp_path: Path) -> None:
    low = layer(tmp_path / "1", {"d/kept": "1", "d/gone": "1", "d/over": "1", "d/sub/hidden": "1"})
    top = layer(tmp_path / "2", {"d/over": "2", "d/new": "2", "d/sub/only": "2"})
    os.mknod(f"{top}/d/gone", 0o20600, os.makedev(0, 0))
    os.setxattr(f"{top}/d/sub", "trusted.overlay.opaque", b"y")
    target = tmp_path / "volume"
    target.mkdir()
    assert populate(str(target), (top, low), "/d")
    assert names(target) == ["kept", "new", "over", "sub", "sub/only"]
    assert (target / "over").read_text() == "2"


def test_b11_nothing_of_the_host_is_copied(tmp_path: Path) -> None:
    secret = tmp_path / "host/secret"
    secret.parent.mkdir()
    secret.write_text("of the host")
    before = tree_hash(secret.parent)
    place = layer(tmp_path / "image", {"real/file": "of the image"})
    links = {"absolute": str(secret.parent), "climbing": "../../../.." + str(secret.parent),
             "loop": "loop", "inside": "/real"}  # fmt: skip
    for name, link in links.items():
        Path(place, name).symlink_to(link)
    Path(place, "real/link").symlink_to(secret)
    for path in (
        "/absolute",
        "/climbing",
        "/../host",
        "/real/../../host",
        "/missing",
        "/real/file",
    ):
        target = tmp_path / "volume"
        target.mkdir()
        assert not populate(str(target), (place,), path), path
        assert names(target) == []
        target.rmdir()
    target = tmp_path / "volume"
    target.mkdir()
    assert populate(str(target), (place,), "/inside")
    assert names(target) == ["file", "link"]
    assert (target / "link").is_symlink(), "a link is copied, not what it names"
    assert tree_hash(secret.parent) == before


def test_volumes_have_names(tmp_path: Path) -> None:
    volumes = LocalVolumes(str(tmp_path / "data"))
    assert volumes.create("b").path == str(tmp_path / "data/volumes/b/_data")
    volumes.create("a")
    volumes.create("a")
    assert [each.name for each in volumes.list()] == ["a", "b"]
    for wrong in ("", "../x", "a/b", ".hidden", "x" * 300):
        with pytest.raises(Exception, match="invalid characters"):
            volumes.create(wrong)
        with pytest.raises(NotFound):
            volumes.remove(wrong)
    volumes.remove("a")
    with pytest.raises(NotFound, match="no such volume"):
        volumes.remove("a")
    assert [each.name for each in volumes.list()] == ["b"]


def test_g18_a_mount_that_somebody_made_in_a_container_is_not_emptied(
    yard: Yard, tmp_path: Path
) -> None:
    """Removal crosses no mount: what is beyond it is somebody's."""
    import subprocess

    precious = layer(tmp_path / "precious", {"file": "keep me"})
    box = yard.make("true")
    inside = Path(yard.engine.places.upper(box.id), "mounted")
    inside.mkdir()
    subprocess.run(["mount", "--bind", precious, inside], check=True)
    try:
        with pytest.raises((OSError, Conflict)):
            yard.engine.remove(box.id)
        assert Path(precious, "file").read_text() == "keep me"
        assert [each.status for each in yard.engine.list()] == ["removing"]
    finally:
        subprocess.run(["umount", inside], check=True)
    yard.engine.reconcile()
    assert yard.engine.list() == []

"""Volumes of pods on disk: contents, atomic changes, kinds, and their end."""

import os
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import Conflict, Denied
from dockyard.cluster.kubelet.environment import ConfigError
from dockyard.cluster.kubelet.references import Named
from dockyard.cluster.kubelet.volumes import memory
from dockyard.cluster.kubelet.volumes.content import File, check_path, files_of
from dockyard.cluster.kubelet.volumes.hostpath import host_path
from dockyard.cluster.kubelet.volumes.podvolumes import MountFailed, PodVolumes
from dockyard.cluster.kubelet.volumes.removal import remove_tree
from dockyard.cluster.kubelet.volumes.writer import write_files

CONFIG = {"metadata": {"name": "cfg"}, "data": {"a.txt": "one", "b": "two"},
          "binaryData": {"raw": "AAE="}}  # fmt: skip
SECRET = {"metadata": {"name": "sec"}, "data": {"token": "czNjcjN0"}}
STATUS = {"podIP": "10.0.0.7", "hostIP": "192.0.2.1", "cpu": "4", "memory": "8Gi"}


def lookup(kind: str, name: str) -> Any:
    return {("configmap", "cfg"): CONFIG, ("secret", "sec"): SECRET}.get((kind, name))


def pod(*volumes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "resources": {"limits": {"cpu": "500m"}}}]
    return {"metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "web"}},
            "spec": {"containers": containers, "volumes": list(volumes), **spec}}  # fmt: skip


def files(**source: Any) -> dict[str, File]:
    return files_of({"name": "v", **source}, pod(), lookup, STATUS)


def test_a_config_map() -> None:
    assert files(configMap={"name": "cfg"}) == {
        "a.txt": File(b"one", 0o644), "b": File(b"two", 0o644), "raw": File(b"\0\1", 0o644),
    }  # fmt: skip


def test_chosen_keys_with_modes() -> None:
    items = [{"key": "a.txt", "path": "conf/a"}, {"key": "b", "path": "b", "mode": 0o400}]
    found = files(configMap={"name": "cfg", "defaultMode": 0o600, "items": items})
    assert found == {"conf/a": File(b"one", 0o600), "b": File(b"two", 0o400)}


def test_a_secret() -> None:
    assert files(secret={"secretName": "sec"}) == {"token": File(b"s3cr3t", 0o644)}


def test_the_downward_api() -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
             {"path": "cpu", "mode": 0o440,
              "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu",
                                   "divisor": "1m"}}]  # fmt: skip
    assert files(downwardAPI={"items": items}) == {
        "labels": File(b'app="web"', 0o644), "cpu": File(b"500", 0o440),
    }  # fmt: skip


def test_projected_sources_lie_side_by_side() -> None:
    sources = [{"configMap": {"name": "cfg", "items": [{"key": "b", "path": "b"}]}},
               {"secret": {"name": "sec"}},
               {"downwardAPI": {"items": [{"path": "name",
                                           "fieldRef": {"fieldPath": "metadata.name"}}]}},
               {"configMap": {"name": "none", "optional": True}}]  # fmt: skip
    found = files(projected={"sources": sources, "defaultMode": 0o440})
    assert found == {"b": File(b"two", 0o440), "token": File(b"s3cr3t", 0o440),
                     "name": File(b"p", 0o440)}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        ({"configMap": {"name": "cfg", "items": [{"key": "x", "path": "x"}]}},
         "references non-existent config key: x"),
        ({"secret": {"secretName": "sec", "items": [{"key": "x", "path": "x"}]}},
         "references non-existent secret key: x"),
    ],
)  # fmt: skip
def test_what_is_not_there(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        files(**source)
    assert str(caught.value) == message
    kind, content = next(iter(source.items()))
    assert files(**{kind: {**content, "optional": True}}) == {}


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "..data", "..2026/x"])
def test_paths_that_leave_the_volume(path: str) -> None:
    """F23: keys and paths cannot leave the folder, nor stand for our own entries."""
    with pytest.raises(Denied):
        check_path(path)


def shown(folder: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in folder.iterdir()
            if not each.name.startswith("..")}  # fmt: skip


def test_files_change_all_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    assert write_files(folder, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert (folder / "a").is_symlink()
    assert str((folder / "a").readlink()) == "..data/a"
    first = str((folder / "..data").readlink())
    assert (folder / "d/b").read_text() == "2"
    assert (folder / "d/b").stat().st_mode & 0o777 == 0o600
    opened = (folder / "a").open()
    assert write_files(folder, {"a": File(b"9", 0o644)})
    assert str((folder / "..data").readlink()) != first
    assert opened.read() == "1"  # who had it open still reads what it was
    opened.close()
    assert shown(folder) == {"a": "9"}
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        ["..data", str((folder / "..data").readlink()), "a"]
    )


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    folder, same = tmp_path / "v", {"a": File(b"1", 0o644)}
    assert write_files(folder, same)
    before = str((folder / "..data").readlink())
    assert not write_files(folder, same)
    assert str((folder / "..data").readlink()) == before
    assert write_files(folder, {"a": File(b"1", 0o400)})  # a mode is content too


@pytest.mark.parametrize("step", ["before the swap", "after the swap"])
def test_a_write_that_was_cut_off(tmp_path: Path, step: str) -> None:
    folder = tmp_path / "v"
    write_files(folder, {"a": File(b"1", 0o644)})
    fresh = folder / "..cut"
    fresh.mkdir()
    (fresh / "b").write_text("2")
    (fresh / "b").chmod(0o644)
    (folder / "..data_tmp").symlink_to("..cut")
    if step == "after the swap":
        (folder / "..data_tmp").rename(folder / "..data")
    write_files(folder, {"b": File(b"2", 0o644)})
    assert shown(folder) == {"b": "2"}


def test_an_empty_volume_is_a_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "v", {})
    assert shown(tmp_path / "v") == {}


@pytest.mark.root
def test_a_group_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    write_files(folder, {"a": File(b"1", 0o600)}, group=2000)
    found = (folder / "a").stat()
    assert (found.st_gid, found.st_mode & 0o777) == (2000, 0o640)


def volumes(tmp_path: Path, wish: dict[str, Any]) -> PodVolumes:
    return PodVolumes(tmp_path / "disk", tmp_path / "memory", wish)


def named(**claims: Any) -> Named:
    return Named(lookup, lambda name: claims.get(name, (None, None)))


def test_secrets_are_kept_off_the_disk(tmp_path: Path) -> None:
    wish = pod(
        {"name": "s", "secret": {"secretName": "sec"}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "sec"}}]}},
        {"name": "c", "configMap": {"name": "cfg"}},
    )
    found = volumes(tmp_path, wish).prepare(wish, named(), STATUS)
    assert found["s"].path == str(tmp_path / "memory/s")
    assert found["p"].path == str(tmp_path / "memory/p")
    assert found["c"].path == str(tmp_path / "disk/c")
    assert all(each.readonly for each in found.values())


@pytest.mark.root
def test_empty_dirs(tmp_path: Path) -> None:
    wish = pod({"name": "e", "emptyDir": {}}, securityContext={"fsGroup": 3000})
    made = volumes(tmp_path, wish)
    found = made.prepare(wish, named(), STATUS)["e"]
    state = Path(found.path).stat()
    assert (state.st_gid, state.st_mode & 0o7777, found.readonly) == (3000, 0o2777, False)
    (Path(found.path) / "kept").write_text("x")
    assert made.prepare(wish, named(), STATUS)["e"] == found
    assert (Path(found.path) / "kept").exists()
    made.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_an_empty_dir_in_memory(tmp_path: Path) -> None:
    wish = pod({"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
    made = volumes(tmp_path, wish)
    try:
        path = Path(made.prepare(wish, named(), STATUS)["m"].path)
        assert os.path.ismount(path)
        found = os.statvfs(path)
        assert found.f_blocks * found.f_frsize == 1024 * 1024
        with pytest.raises(OSError, match="No space left"):
            (path / "big").write_bytes(bytes(2 * 1024 * 1024))
        made.prepare(wish, named(), STATUS)
        assert len(memory.mounts_below(tmp_path)) == 1
    finally:
        made.remove()
    assert memory.mounts_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_paths_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert host_path({"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"})
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755
    assert host_path({"path": str(tmp_path / "f2"), "type": "FileOrCreate"})
    assert (tmp_path / "f2").stat().st_mode & 0o777 == 0o644
    assert host_path({"path": str(tmp_path / "anything")}) == str(tmp_path / "anything")
    for kind, word, path in (
        ("Directory", "directory", "none"), ("Directory", "directory", "file"),
        ("File", "file", "new"), ("Socket", "socket file", "file"),
        ("CharDevice", "character device", "file"), ("BlockDevice", "block device", "none"),
        ("DirectoryOrCreate", "directory", "file"),
    ):  # fmt: skip
        where = tmp_path / path
        with pytest.raises(ConfigError) as caught:
            host_path({"path": str(where), "type": kind})
        assert str(caught.value) == f"hostPath type check failed: {where} is not a {word}"


def test_claims(tmp_path: Path) -> None:
    wish = pod({"name": "v", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}})
    made = volumes(tmp_path, wish)
    source = {"path": str(tmp_path / "pv"), "type": "DirectoryOrCreate"}
    volume = {"metadata": {"name": "pv"}, "spec": {"hostPath": source}}
    found = made.prepare(wish, named(data=({}, volume)), STATUS)["v"]
    assert (found.path, found.readonly) == (str(tmp_path / "pv"), True)
    for claims, message in (
        ({}, 'persistentvolumeclaim "data" not found'),
        ({"data": ({}, None)}, 'persistentvolumeclaim "data" is not bound'),
        ({"data": ({}, {"metadata": {"name": "pv"}, "spec": {"nfs": {}}})}, "only hostPath"),
    ):
        with pytest.raises(MountFailed, match=message):
            made.prepare(wish, named(**claims), STATUS)
    made.remove()
    assert (tmp_path / "pv").is_dir()  # a claim's data is not the pod's to remove


@pytest.mark.parametrize(
    "volume",
    [{"name": "v", "nfs": {"server": "a", "path": "/"}},
     {"name": "v", "emptyDir": {"medium": "HugePages"}},
     {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
     {"name": "v", "configMap": {"name": "cfg", "items": [{"key": "b", "path": "../b"}]}}],
)  # fmt: skip
def test_what_cannot_be_mounted_says_so(tmp_path: Path, volume: dict[str, Any]) -> None:
    wish = pod(volume)
    with pytest.raises(MountFailed) as caught:
        volumes(tmp_path, wish).prepare(wish, named(), STATUS)
    assert str(caught.value).startswith('MountVolume.SetUp failed for volume "v" : ')
    assert caught.value.volume == "v"


def test_removal_follows_no_link(tmp_path: Path) -> None:
    """F23: what the pod has linked stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "v"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "deep/er/link").symlink_to("../../../outside")
    (folder / "deep/er/hard").hardlink_to(outside / "precious")
    remove_tree(folder)
    assert not folder.exists()
    assert (outside / "precious").read_text() == "x"
    remove_tree(folder)  # gone is fine


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / "v").symlink_to(outside)
    with pytest.raises(OSError, match="v"):
        remove_tree(tmp_path / "v")
    assert (outside / "precious").exists()


def test_removal_of_a_very_deep_tree(tmp_path: Path) -> None:
    """F23: a pod may nest folders deeper than any stack, path or table of descriptors."""
    top = tmp_path / "v"
    top.mkdir()
    place = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    remove_tree(top)
    assert not top.exists()


@pytest.mark.root
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_removal_stops_at_a_mount(tmp_path: Path, kind: str) -> None:
    """G18: nothing is deleted through a mount, not even one of the same file system."""
    from dockyard.base.linux import syscalls

    outside, folder = tmp_path / "outside", tmp_path / "v"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (folder / "a/mnt").mkdir(parents=True)
    (folder / "other").write_text("y")
    if kind == "bind":
        syscalls.mount(str(outside), str(folder / "a/mnt"), "", 4096, "")
    else:
        syscalls.mount("tmpfs", str(folder / "a/mnt"), "tmpfs", 0, "")
    try:
        with pytest.raises(Conflict, match="a/mnt: something is mounted there"):
            remove_tree(folder)
        assert (folder / "other").exists()
        assert (outside / "precious").exists()
    finally:
        syscalls.umount(str(folder / "a/mnt"))
    remove_tree(folder)
    assert not folder.exists()

"""The store: what comes in is whole or not there, and overlayfs shows what the layers say."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockyard.base.errors import Corrupt
from dockyard.base.linux.overlay import open_overlay
from dockyard.base.oci.digest import digest_of
from dockyard.base.oci.platform import host_platform
from dockyard.node.image.image import Image, ImageInUse, ImageNotFound
from dockyard.node.image.store import ImageStore
from helpers.tars import Entry, file, folder, tar

pytestmark = pytest.mark.root


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path)


def add(store: ImageStore, name: str, *entries: Entry) -> Image:
    return store.import_tar(io.BytesIO(tar(*entries)), name)


def stacked(store: ImageStore, folder: Path, name: str, *layers: list[Entry]) -> Image:
    """An image of several layers, as `docker save` would have written it."""
    tars = [tar(*entries) for entries in layers]
    diff_ids = [digest_of(layer) for layer in tars]
    config = {
        "os": host_platform().os,
        "architecture": host_platform().architecture,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    names = [f"{number}/layer.tar" for number in range(len(tars))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    archive = folder / "archive.tar"
    archive.write_bytes(
        tar(
            file("config.json", json.dumps(config).encode()),
            file("manifest.json", json.dumps(manifest).encode()),
            *(file(name, layer) for name, layer in zip(names, tars, strict=True)),
        )
    )
    (image,) = store.load(str(archive))
    return image


@contextlib.contextmanager
def merged(store: ImageStore, image: Image, tmp_path: Path) -> Iterator[Path]:
    """The image's tree as a container would see it."""
    for name in ("upper", "work", "at"):
        (tmp_path / "view" / name).mkdir(parents=True, exist_ok=True)
    view = tmp_path / "view"
    fd = open_overlay(
        store.mount_layers(image), str(view / "upper"), str(view / "work"), str(view / "at")
    )
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_b04_layers_merge_as_the_specification_says(store: ImageStore, tmp_path: Path) -> None:
    image = stacked(
        store,
        tmp_path,
        "stack:1",
        [folder("d", mode=0o750, uid=5), file("d/gone", b"1"), file("d/kept", b"1"),
         folder("o"), file("o/hidden"), file("top", b"1")],
        [file("d/.wh.gone"), file("o/.wh..wh..opq"), file("o/new"), file("top", b"2")],
    )  # fmt: skip
    with merged(store, image, tmp_path) as root:
        assert sorted(path.name for path in (root / "d").iterdir()) == ["kept"]
        assert [path.name for path in (root / "o").iterdir()] == ["new"]
        assert (root / "top").read_bytes() == b"2"
        found = (root / "d").stat()  # the upper layer did not describe it: the lower one's holds
        assert (found.st_uid, found.st_mode & 0o777) == (5, 0o750)


def test_b04_an_opaque_root_hides_all_below(store: ImageStore, tmp_path: Path) -> None:
    image = stacked(store, tmp_path, "x:1", [file("old")], [file(".wh..wh..opq"), file("new")])
    with merged(store, image, tmp_path) as root:
        assert [path.name for path in root.iterdir()] == ["new"]


def test_a16_b05_nobody_else_gets_to_setuid_files(store: ImageStore, tmp_path: Path) -> None:
    add(store, "x", file("suid", mode=0o4755))
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700


def test_names_move_and_images_go_with_their_last_name(store: ImageStore) -> None:
    first = add(store, "app", file("f", b"1"))
    second = add(store, "app", file("f", b"2"))
    assert store.resolve("app").id == second.id
    assert store.resolve(first.id.hex[:12]).names == ()
    assert store.resolve(first.id).id == first.id
    assert store.prune().deleted[0] == first.id
    with pytest.raises(ImageNotFound):
        store.resolve(first.id)
    store.lease(second, "container")
    with pytest.raises(ImageInUse, match="container"):
        store.remove("app")
    store.release("container")
    assert second.id in store.remove("app").deleted
    assert store.list() == []


def test_a_fleeting_lease_counts_until_the_machine_starts_anew(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = add(store, "app", file("a", b"1"))
    store.lease(image, "container", lasting=False)
    with pytest.raises(ImageInUse, match="container"):
        store.remove("app")
    assert store.prune(everything=True).deleted == ()
    store.release("container")
    store.release("container")
    store.lease(image, "another", lasting=False)
    boot = tmp_path / "boot_id"
    boot.write_text("a later one\n")
    monkeypatch.setattr("dockyard.node.image.fleeting.BOOT", str(boot))
    assert image.id in store.remove("app").deleted
    with pytest.raises(ImageNotFound):
        store.lease(image, "late", lasting=False)


def test_g10_content_of_others_is_never_collected(store: ImageStore) -> None:
    shared = file("same", b"layer")
    add(store, "one", shared)
    store.tag("one", "two")
    store.remove("one")
    image = store.resolve("two")
    assert (Path(store.mount_layers(image)[0]) / "same").read_bytes() == b"layer"
    with store.adding():  # somebody pulls: nothing is collected meanwhile
        store.remove("two")
    assert store.prune().deleted


def test_g10_the_same_image_from_several_threads(store: ImageStore) -> None:
    before = set(threading.enumerate())
    data = tar(*(file(str(n), bytes(1000)) for n in range(200)))
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda n: store.import_tar(io.BytesIO(data), f"t{n}"), range(8)))
    assert len({image.layers for image in images}) == 1
    assert len(store.list()) == len({image.digest for image in images})
    assert set(threading.enumerate()) <= before  # a caller may fork now


def test_b07_a_bad_tar_leaves_nothing(store: ImageStore, tmp_path: Path) -> None:
    for bad in (b"x" * 5000, tar(file("../out")), tar(file("a", b"y" * 9000))[:5000]):
        with pytest.raises(Exception, match="tar"):
            store.import_tar(io.BytesIO(bad), "bad")
    assert store.list() == []
    assert not (tmp_path / "images" / "layers").exists()
    assert {path.name for path in (tmp_path / "images" / "ingest").iterdir()} == {"lock"}


def test_g06_damage_on_disk_is_found_and_a_lost_layer_unpacked_again(
    store: ImageStore, tmp_path: Path
) -> None:
    image = add(store, "app", file("f", b"1"))
    layer = Path(store.mount_layers(image)[0])
    (layer / "f").unlink()
    layer.rmdir()
    layer.parent.rmdir()
    assert (Path(store.mount_layers(image)[0]) / "f").read_bytes() == b"1"
    config = tmp_path / "images/blobs/sha256" / image.id.hex
    config.chmod(0o600)
    config.write_bytes(b"{}")
    with pytest.raises(Corrupt, match="damaged"):
        store.resolve("app")


def test_g10_what_a_killed_import_leaves_is_swept(store: ImageStore, tmp_path: Path) -> None:
    script = (
        "import sys; from dockyard.node.image.store import ImageStore\n"
        f"ImageStore({str(tmp_path)!r}).import_tar(sys.stdin.buffer, 'x')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    assert child.stdin is not None
    data = tar(file("big", bytes(8_000_000)))
    child.stdin.write(data[: len(data) // 2])
    child.stdin.flush()
    ingest = tmp_path / "images" / "ingest"
    while not ingest.exists() or len(list(ingest.iterdir())) < 3:
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    assert store.list() == []
    add(store, "next", file("f"))
    assert {path.name for path in ingest.iterdir()} == {"lock"}


def test_b14_two_views_share_nothing_that_can_change(store: ImageStore) -> None:
    add(store, "app", file("f"))
    one, two = store.resolve("app"), store.resolve("app")
    assert one == two
    assert hash(one.config) == hash(two.config)  # tuples all the way down

"""Archives that somebody else has written: what is wrong with them is told, and nothing stays."""

import json
from pathlib import Path

import pytest

from dockyard.base.errors import DockyardError
from dockyard.node.image.store import ImageStore
from helpers.machine import archive
from helpers.tars import file, hardlink, symlink, tar

pytestmark = pytest.mark.root


def load(tmp_path: Path, data: bytes) -> str:
    """What the refusal says; the store is as before."""
    store = ImageStore(tmp_path / "root")
    (kept,) = store.load(str(archive(tmp_path / "good.tar", tar(file("a")))))
    before = sorted(str(path) for path in (tmp_path / "root/images/blobs").rglob("*"))
    (tmp_path / "bad.tar").write_bytes(data)
    with pytest.raises(DockyardError) as refused:
        store.load(str(tmp_path / "bad.tar"))
    assert store.list() == [kept]
    assert sorted(str(path) for path in (tmp_path / "root/images/blobs").rglob("*")) == before
    return str(refused.value)


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
def test_b10_a_document_of_many_megabytes_is_not_read(tmp_path: Path, name: str) -> None:
    data = tar(file(name, b"[" + b" " * (5 << 20) + b"]"))
    assert "bytes; at most" in load(tmp_path, data)


def test_b10_a_configuration_of_many_megabytes_is_not_read(tmp_path: Path) -> None:
    manifest = json.dumps([{"Config": "c", "RepoTags": ["x:1"], "Layers": []}]).encode()
    data = tar(file("manifest.json", manifest), file("c", b" " * (20 << 20)))
    assert "bytes; at most" in load(tmp_path, data)


@pytest.mark.parametrize("make", [symlink, hardlink])
@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../etc/hostname"])
def test_b13_links_lead_to_nothing_outside(tmp_path: Path, make: object, target: str) -> None:
    """As a document, a configuration and a layer."""
    link = make("manifest.json", target)  # type: ignore[operator]
    assert "no image archive" in load(tmp_path, tar(link))


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../etc/hostname"])
def test_b13_a_layer_is_no_file_of_this_machine(tmp_path: Path, target: str) -> None:
    rootfs = {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs})
    manifest = [{"Config": "c", "RepoTags": ["plain:1"], "Layers": ["l/layer.tar"]}]
    data = tar(
        file("manifest.json", json.dumps(manifest).encode()),
        file("c", config.encode()),
        symlink("l/layer.tar", target),
    )
    assert "is not in the archive" in load(tmp_path, data)


@pytest.mark.parametrize("tags", [["../x:1"], ["X:1"], ["a" * 300], ["a:b:c"], [7], "plain:1"])
def test_b13_tags_are_names_or_refused(tmp_path: Path, tags: object) -> None:
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = [{"Config": "c", "RepoTags": tags, "Layers": []}]
    data = tar(
        file("manifest.json", json.dumps(manifest).encode()),
        file("c", json.dumps(config).encode()),
    )
    assert load(tmp_path, data)

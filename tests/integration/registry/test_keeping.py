"""What is kept and what goes: the collector, quotas, expiry, damage (G04, G05, G06)."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.oci.digest import Digest, digest_of
from dockyard.node.image.registry.server import places
from dockyard.node.image.registry.server.collect import Policy, collect
from dockyard.node.image.registry.server.documents import parse_pushed
from dockyard.node.image.registry.server.files import Files
from dockyard.node.image.registry.server.names import Repository, Tag
from dockyard.node.image.registry.server.quota import Quota, Quotas
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Store
from dockyard.node.image.registry.server.uploads import Uploads

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
APP, OTHER = Repository("team/app"), Repository("other")
DAY = 86_400.0


class Bench:
    """A store with a clock that a test turns."""

    def __init__(self, root: Path, *quotas: Quota) -> None:
        self.later = 0.0
        self.driver = Files(str(root))
        self.store = Store(self.driver, lambda: time.time() + self.later, Quotas(quotas))
        self.uploads = Uploads(self.store)

    def push(self, data: bytes, name: Repository = APP) -> Digest:
        session = self.uploads.start(name)
        session.append(data)
        digest = digest_of(data)
        self.uploads.finish(session, digest)
        return digest

    def put(
        self, value: dict[str, Any], *tags: str, name: Repository = APP, kind: str = OCI
    ) -> Digest:
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **value}).encode()
        digest = digest_of(data)
        words = [Tag(tag) for tag in tags]
        self.store.put_manifest(name, digest, data, parse_pushed(data, kind), words)
        return digest

    def image(self, layer: bytes, *tags: str, name: Repository = APP, **more: Any) -> Digest:
        config = about(self.push(b"{}", name), 2)
        found = about(self.push(layer, name), len(layer))
        return self.put({"config": config, "layers": [found], **more}, *tags, name=name)

    def collect(self, **policy: Any) -> tuple[int, ...]:
        self.later += 2 * DAY
        return collect(self.store, Policy(**policy))

    def has(self, digest: Digest, name: Repository = APP) -> bool:
        return self.store.blob(name, digest) is not None

    def on_disk(self, digest: Digest) -> bool:
        return self.driver.size(places.blob(digest)) is not None


def about(digest: Digest, size: int, kind: str = "application/octet-stream") -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size}


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    found = Bench(tmp_path / "root")
    yield found
    found.driver.close()


def test_what_is_referred_to_stays(bench: Bench) -> None:
    bench.image(b"layer", "v1")
    orphan = bench.push(b"orphan")
    assert bench.on_disk(orphan)
    swept = bench.collect()
    assert swept == (0, 1, 1, len(b"orphan"))
    assert not bench.on_disk(orphan)
    assert bench.has(digest_of(b"layer"))
    assert bench.has(digest_of(b"{}"))
    assert bench.store.manifest(APP, Tag("v1")).data
    assert bench.collect() == (0, 0, 0, 0)


def test_what_is_young_or_was_asked_for_stays(bench: Bench) -> None:
    young, asked = bench.push(b"young"), bench.push(b"asked")
    assert collect(bench.store, Policy()) == (0, 0, 0, 0)
    bench.later = 2 * DAY
    assert bench.has(asked), "a client is told that it need not push it"
    bench.later -= 2 * DAY
    assert bench.collect() == (0, 1, 1, 5)
    assert bench.on_disk(asked)
    assert not bench.on_disk(young)


def test_bytes_stay_as_long_as_one_repository_has_them(bench: Bench) -> None:
    shared = bench.push(b"shared")
    assert bench.store.mount(OTHER, APP, shared)
    bench.put({"config": about(shared, 6), "layers": []}, "v1", name=OTHER)
    assert bench.collect() == (0, 1, 0, 0)
    assert not bench.has(shared)
    assert bench.has(shared, OTHER)
    assert bench.store.names == [OTHER]
    bench.store.remove_manifest(OTHER, bench.store.resolve(OTHER, Tag("v1")))
    assert bench.collect()[2] == 2, "the blob and its manifest"
    assert not bench.on_disk(shared)


def test_untagged_manifests_go_when_told_so(bench: Bench) -> None:
    old = bench.image(b"old", "v1")
    new = bench.image(b"new", "v1")
    child = bench.image(b"child")
    entry = about(child, 1, OCI)
    bench.put({"manifests": [entry]}, "all", kind=INDEX)
    signature = bench.image(b"signature", subject=about(new, 1, OCI))
    stale = bench.image(b"stale signature", subject=about(old, 1, OCI))
    assert bench.collect() == (0, 0, 0, 0)
    assert bench.collect(untagged=True)[0] == 2
    kept = set(bench.store.manifests(APP))
    assert {old, stale} & kept == set()
    assert {new, child, signature} <= kept
    assert bench.has(digest_of(b"signature"))
    assert not bench.on_disk(digest_of(b"old"))
    assert bench.store.referrers(APP, old) == []
    assert [item["digest"] for item in bench.store.referrers(APP, new)] == [signature]


def test_a_cache_forgets_what_nobody_uses(bench: Bench) -> None:
    """Tagged or not; what was asked for a while ago stays."""
    bench.image(b"unused", "unused")
    bench.image(b"used", "used")
    bench.later = DAY
    bench.store.use_manifest(APP, Tag("used"))
    assert bench.has(digest_of(b"used"))
    manifests, links, blobs, _ = bench.collect(unused=2.5 * DAY)
    assert (manifests, links, blobs) == (1, 2, 3)  # the config was asked for by nobody, too
    assert bench.store.tags(APP) == ["used"]
    assert bench.on_disk(digest_of(b"used"))
    assert not bench.on_disk(digest_of(b"unused"))


def test_a_push_during_a_collection_keeps_what_it_needs(bench: Bench) -> None:
    """Between the marking and each removal, at every point: a manifest comes for old blobs."""
    layers = [bench.push(b"layer %d" % number) for number in range(20)]
    config = bench.push(b"{}")
    bench.later += 2 * DAY
    remove, pushed = bench.driver.remove, []

    def interrupt(path: str) -> bool:
        if not pushed:  # a client, at the worst moment: some are gone, the others are marked
            pushed.append(True)
            going = path.rpartition("/")[2]
            links = {digest: bench.driver.size(places.link(APP, digest)) for digest in layers}
            kept.extend(one for one, size in links.items() if size is not None and going not in one)
            parts = [about(digest, 7) for digest in kept]
            bench.put({"config": about(config, 2), "layers": parts}, "v1")
        return remove(path)

    kept: list[Digest] = []
    bench.driver.remove = interrupt  # type: ignore[method-assign]
    collect(bench.store, Policy(grace=DAY))
    assert len(kept) >= 18
    assert all(bench.has(digest) and bench.on_disk(digest) for digest in kept)


def test_pushes_and_collections_side_by_side(bench: Bench) -> None:
    """Whatever was acknowledged has all its parts at the end."""
    stop, failed = threading.Event(), []

    def gather() -> None:
        while not stop.is_set():
            try:
                collect(bench.store, Policy(grace=0.3))
            except Exception as error:
                failed.append(error)
                return

    thread = threading.Thread(target=gather)
    thread.start()
    try:
        for number in range(60):
            try:
                bench.image(b"side %d" % (number % 40), f"v{number}")
            except Refusal as refusal:  # so short a grace takes a blob before its manifest comes
                assert refusal.code == "MANIFEST_BLOB_UNKNOWN"
    finally:
        stop.set()
        thread.join()
    assert failed == []
    bench.image(b"last", "last")
    for digest in bench.store.manifests(APP):
        value = json.loads(bench.store.manifest(APP, digest).data)
        for part in (value["config"], *value["layers"]):
            assert bench.on_disk(Digest(part["digest"]))
            assert bench.has(Digest(part["digest"]))


def test_a_damaged_manifest_stops_the_collection_of_its_repository(bench: Bench) -> None:
    digest = bench.image(b"layer", "v1")
    orphan = bench.push(b"orphan")
    path = bench.driver._path(places.blob(digest))
    Path(path).write_bytes(b"{}")
    assert bench.collect() == (0, 0, 0, 0)
    assert bench.on_disk(orphan)
    with pytest.raises(Refusal, match="damaged"):
        bench.store.manifest(APP, Tag("v1"))


def test_g05_what_is_no_record_of_ours_harms_nothing_else(bench: Bench) -> None:
    """A record of zeroes, a link's name that is none, foreign files: told, or left alone."""
    good, bad = bench.image(b"good", "good"), bench.image(b"bad", "bad")
    root = Path(bench.driver._path(""))
    Path(bench.driver._path(places.manifest(APP, bad))).write_bytes(bytes(40))
    for folder in (places.links(APP), places.manifests(APP), places.BLOBS):
        (root / folder / "sha256" / "zz").mkdir(exist_ok=True)
        (root / folder / "sha256" / "zz" / "lost").write_bytes(b"x")
        (root / folder / "lost+found").mkdir(exist_ok=True)
    (root / places.tags(APP) / ".swp").write_bytes(b"x")
    assert bench.store.tags(APP) == ["bad", "good"]
    assert bench.store.manifest(APP, Tag("good")).digest == good
    with pytest.raises(Refusal, match="damaged"):
        bench.store.manifest(APP, Tag("bad"))
    bench.collect()
    assert bench.has(digest_of(b"good"))
    assert (root / places.BLOBS / "sha256/zz/lost").exists()
    bench.store.remove_manifest(APP, bad)
    assert bench.store.tags(APP) == ["good"]
    assert bench.store.used(APP) > 0


def test_g06_a_push_mends_a_damaged_blob(bench: Bench) -> None:
    digest = bench.push(b"whole")
    Path(bench.driver._path(places.blob(digest))).write_bytes(b"broke")
    bench.push(b"whole")
    assert bench.driver.read(places.blob(digest)) == b"whole"


def test_g04_what_the_disk_does_not_take_is_not_acknowledged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync fails once: the session stays, nothing is visible; later it works."""
    session = bench.uploads.start(APP)
    session.append(b"data")

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            bench.uploads.finish(session, digest_of(b"data"))
    assert not bench.has(digest_of(b"data"))
    assert not bench.on_disk(digest_of(b"data"))
    bench.uploads.finish(bench.uploads.find(APP, session.identifier), digest_of(b"data"))
    assert bench.has(digest_of(b"data"))


def test_quotas_count_each_blob_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "root", Quota("team/*", 1000))
    first = bench.push(b"x" * 600)
    bench.push(b"x" * 600)
    assert bench.store.used(APP) == 600
    with pytest.raises(Refusal, match="quota") as caught:
        bench.push(b"y" * 500)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    bench.push(b"y" * 500, OTHER)
    with pytest.raises(Refusal, match="quota"):
        bench.store.mount(APP, OTHER, digest_of(b"y" * 500))
    with pytest.raises(Refusal, match="quota"):
        bench.put({"config": about(first, 600), "layers": [], "annotations": {"a": "z" * 400}})
    bench.store.remove_blob(APP, first)
    assert bench.store.used(APP) == 0
    bench.push(b"y" * 500)
    bench.driver.close()
    again = Bench(tmp_path / "root", Quota("team/*", 1000))
    assert again.store.used(APP) == 500
    again.driver.close()


def test_uploads_expire(bench: Bench) -> None:
    old, used, busy = (bench.uploads.start(APP) for _ in range(3))
    old.append(b"x")
    busy.busy = True
    bench.later += DAY + 1
    used.append(b"y")
    assert bench.uploads.expire() == 1
    assert bench.uploads.count == 2
    with pytest.raises(Refusal):
        bench.uploads.find(APP, old.identifier)
    assert bench.uploads.find(APP, used.identifier).size == 1
    assert bench.uploads.find(APP, busy.identifier)


def test_open_uploads_are_bounded(bench: Bench) -> None:
    uploads = Uploads(bench.store, most=3)
    for _ in range(3):
        session = uploads.start(APP)
    with pytest.raises(Refusal) as caught:
        uploads.start(APP)
    assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")
    uploads.cancel(session)
    uploads.start(APP)

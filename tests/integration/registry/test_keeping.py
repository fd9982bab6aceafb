"""What is kept and what goes: collector, quotas, expiry, a killed server (G01, G03, G06, G10)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.oci.digest import Digest, digest_of
from dockyard.boot.registry import Settings
from dockyard.node.image.registry.server import places
from dockyard.node.image.registry.server.collect import Policy, collect
from dockyard.node.image.registry.server.documents import parse_pushed
from dockyard.node.image.registry.server.files import Files
from dockyard.node.image.registry.server.names import Repository, Tag
from dockyard.node.image.registry.server.quota import Quota, Quotas
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Store
from dockyard.node.image.registry.server.uploads import Uploads
from helpers import own_registry
from helpers.own_registry import Server, ask

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


# a server that is killed, told to end, or without room


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_g01_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    """And an upload goes on where it was."""
    root = tmp_path / "root"
    with own_registry.serve(root) as server:
        config = b"{}"
        path = f"/v2/a/blobs/uploads/?digest={digest(config)}"
        assert ask(server.url, "POST", path, config).status == 201
        value = {"schemaVersion": 2, "mediaType": OCI, "layers": [],
                 "config": about(Digest(digest(config)), 2)}  # fmt: skip
        assert ask(server.url, "PUT", "/v2/a/manifests/v1", json.dumps(value),
                   content_type=OCI).status == 201  # fmt: skip
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        ask(server.url, "PATCH", location, b"first ")
        server.kill()
    with own_registry.serve(root) as server:
        assert json.loads(ask(server.url, "GET", "/v2/a/manifests/v1").body) == value
        assert ask(server.url, "GET", location).header("Range") == "0-5"
        whole = b"first second"
        reply = ask(server.url, "PUT", f"{location}?digest={digest(whole)}", b"second",
                    content_range="6-11")  # fmt: skip
        assert reply.status == 201
        assert ask(server.url, "GET", f"/v2/a/blobs/{digest(whole)}").body == whole


DELAYS = [0.0, 0.01, 0.03, 0.08, 0.2]
MANY = [pytest.param(number / 300, marks=pytest.mark.long) for number in range(1, 60)]


@pytest.mark.parametrize("delay", [*DELAYS, *MANY])
def test_g01_a_kill_at_any_moment_leaves_nothing_half(tmp_path: Path, delay: float) -> None:
    """Clients push while it dies; what is visible afterwards is whole."""
    root = tmp_path / "root"
    done: list[str] = []
    with own_registry.serve(root) as server:
        begun = threading.Event()

        def push() -> None:
            try:
                for number in range(1000):
                    data = b"%d " % number + os.urandom(200_000)
                    path = f"/v2/a/blobs/uploads/?digest={digest(data)}"
                    if ask(server.url, "POST", path, data).status == 201:
                        done.append(digest(data))
                    begun.set()
            except OSError:
                return
            except Exception:  # http.client's for an answer that breaks off
                return

        threads = [threading.Thread(target=push) for _ in range(3)]
        for thread in threads:
            thread.start()
        begun.wait(20)
        time.sleep(delay)
        server.kill()
        for thread in threads:
            thread.join()
    with own_registry.serve(root) as server:
        assert done
        for one in done:
            assert digest(ask(server.url, "GET", f"/v2/a/blobs/{one}").body) == one
    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert list((root / "tmp").iterdir()) == []


def test_a_second_server_on_a_folder_is_refused(tmp_path: Path) -> None:
    import subprocess

    with own_registry.serve(tmp_path / "root"):
        done = subprocess.run(
            [own_registry.PROGRAM, "registry", "serve", "--address", "127.0.0.1:0", "--root",
             tmp_path / "root"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 1
        assert "another server uses this folder" in done.stderr


def test_a_broken_connection_keeps_what_has_come(tmp_path: Path) -> None:
    """G10: the client asks how far it was, and goes on."""
    with own_registry.serve(tmp_path / "root") as server:
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), 10) as client:
            head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
            client.sendall(head.encode() + b"x" * 1_500_000)
        until(lambda: size_of(server, location) == 1_500_000)
        data = b"x" * 1_500_000 + b"the rest"
        reply = ask(server.url, "PUT", f"{location}?digest={digest(data)}", b"the rest",
                    content_range="1500000-1500007")  # fmt: skip
        assert reply.status == 201


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_g10_a_push_that_is_cut_anywhere_leaves_the_whole_or_nothing(
    tmp_path: Path, method: str
) -> None:
    """Cut behind each of many bytes of head and body."""
    data = os.urandom(600_000)
    path = f"/v2/a/blobs/uploads/?digest={digest(data)}"
    with own_registry.serve(tmp_path / "root") as server:
        host, _, port = server.address.partition(":")
        for part in (10, 60, 200, 201, 300, 5000, 262_000, 262_400, 599_000, 600_000):
            if method == "PUT":
                location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
                path = f"{location}?digest={digest(data)}"
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
            with socket.create_connection((host, int(port)), 10) as client:
                client.sendall((head.encode() + data)[:part])
            until(lambda: b"connections 1\n" in ask(server.url, "GET", "/metrics").body)
            assert ask(server.url, "GET", f"/v2/a/blobs/{digest(data)}").status == 404
            if method == "PUT":
                assert ask(server.url, "DELETE", location).status == 204
        until(lambda: b"_uploads 0\n" in ask(server.url, "GET", "/metrics").body)
        assert list((tmp_path / "root/uploads").iterdir()) == []
        path = f"/v2/a/blobs/uploads/?digest={digest(data)}"
        assert ask(server.url, "POST", path, data).status == 201


def test_c01_two_who_write_to_one_upload(tmp_path: Path) -> None:
    """The second is told where the upload is, and changes nothing."""
    with own_registry.serve(tmp_path / "root") as server:
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), 20) as client:
            head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
            client.sendall(head.encode() + b"abc")
            until(lambda: ask(server.url, "PATCH", location, b"").status == 416)
            client.sendall(b"def")
            assert client.recv(1000).startswith(b"HTTP/1.1 202 ")
        assert size_of(server, location) == 6


def size_of(server: Server, location: str) -> int:
    return int(ask(server.url, "GET", location).header("Range").partition("-")[2]) + 1


def test_sigusr1_collects_and_tells(tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "root", "--gc-interval", "0") as server:
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: b"collections_total 1" in ask(server.url, "GET", "/metrics").body)


def test_told_to_end_it_finishes_what_it_is_doing(tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "root") as server:
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), 20) as client:
            head = f"PUT {location}?digest={digest(b'slow')} HTTP/1.1\r\nHost: x\r\n"
            client.sendall(f"{head}Content-Length: 4\r\n\r\nsl".encode())
            until(lambda: size_busy(server))
            server.process.terminate()
            client.sendall(b"ow")
            assert client.recv(1000).startswith(b"HTTP/1.1 201 ")
        server.process.wait(20)
        assert server.process.returncode == 0


def size_busy(server: Server) -> bool:
    """Whether both connections are open: the upload's, and the one that asks."""
    return ask(server.url, "GET", "/metrics").body.count(b"connections 2") == 1


@pytest.mark.root
def test_g03_a_full_disk_is_told_and_heals(tmp_path: Path) -> None:
    """On a small tmpfs: 507, nothing half, and reads and deletes go on."""
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "dockyard-test", small], check=True)
    try:
        with own_registry.serve(small / "root") as server:
            first, second = os.urandom(4_000_000), os.urandom(4_000_000)
            path = f"/v2/a/blobs/uploads/?digest={digest(first)}"
            assert ask(server.url, "POST", path, first).status == 201
            reply = ask(server.url, "POST", f"/v2/a/blobs/uploads/?digest={digest(second)}", second)
            assert reply.status == 507
            assert "disk is full" in json.loads(reply.body)["errors"][0]["message"]
            assert ask(server.url, "GET", f"/v2/a/blobs/{digest(first)}").body == first
            assert list((small / "root/uploads").iterdir()) == []
            assert ask(server.url, "DELETE", f"/v2/a/blobs/{digest(first)}").status == 202
            for left in (small / "root/blobs").rglob("*"):
                if left.is_file():
                    left.unlink()  # what the collector would do after its grace
            path = f"/v2/a/blobs/uploads/?digest={digest(second)}"
            assert ask(server.url, "POST", path, second).status == 201
    finally:
        subprocess.run(["umount", small], check=True)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_settings_have_honest_defaults() -> None:
    """What the documentation says of them."""
    settings = Settings("x")
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.policy.grace == DAY == settings.upload_seconds

"""A pull-through cache: what comes from the origin is verified and kept, and outlives it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from helpers import own_registry, registry_server
from helpers.own_registry import Server, ask

OCI = "application/vnd.oci.image.manifest.v1+json"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def push(url: str, data: bytes) -> str:
    location = ask(url, "POST", "/v2/team/app/blobs/uploads/").header("Location")
    join = "&" if "?" in location else "?"
    assert ask(url, "PUT", f"{location}{join}digest={digest(data)}", data).status == 201
    return digest(data)


def image(url: str, layer: bytes, tag: str = "v1") -> bytes:
    """An image at the origin, which is Docker's registry."""
    parts = [{"mediaType": "a/b", "size": len(data), "digest": push(url, data)}
             for data in (b"{}", layer)]  # fmt: skip
    value = {"schemaVersion": 2, "mediaType": OCI, "config": parts[0], "layers": parts[1:]}
    data = json.dumps(value).encode()
    put = ask(url, "PUT", f"/v2/team/app/manifests/{tag}", data, content_type=OCI)
    assert put.status == 201
    return data


def metric(server: Server, name: str) -> int:
    for line in ask(server.url, "GET", "/metrics").body.decode().splitlines():
        if line.startswith(f"dockyard_registry_{name} "):
            return int(line.split()[1])
    return 0


def test_what_was_pulled_once_is_here(tmp_path: Path) -> None:
    layer = os.urandom(5_000_000)
    flags = ["--proxy-fresh", "0"]
    with registry_server.serve(tmp_path / "origin") as origin:
        url = f"http://{origin.address}"
        data = image(url, layer)
        with own_registry.serve(tmp_path / "cache", "--proxy", url, *flags) as cache:
            for _ in range(2):
                reply = ask(cache.url, "GET", "/v2/team/app/manifests/v1")
                assert (reply.body, reply.header("Content-Type")) == (data, OCI)
                assert ask(cache.url, "GET", f"/v2/team/app/blobs/{digest(layer)}").body == layer
            head = ask(cache.url, "HEAD", f"/v2/team/app/blobs/{digest(b'{}')}")
            assert (head.status, head.header("Content-Length")) == (200, "2")
            assert metric(cache, "cache_misses_total") == 2
            assert metric(cache, "cache_hits_total") == 2
            tags = ask(cache.url, "GET", "/v2/team/app/tags/list")
            assert json.loads(tags.body) == {"name": "team/app", "tags": ["v1"]}
            newer = image(url, b"newer")
            assert ask(cache.url, "GET", "/v2/team/app/manifests/v1").body == newer
            by_digest = ask(cache.url, "GET", f"/v2/team/app/manifests/{digest(data)}")
            assert by_digest.body == data
            for missing in ("manifests/v2", f"manifests/{digest(b'x')}", f"blobs/{digest(b'x')}"):
                assert ask(cache.url, "GET", f"/v2/team/app/{missing}").status == 404
    with own_registry.serve(tmp_path / "cache", "--proxy", url, *flags) as cache:  # no origin now
        assert ask(cache.url, "GET", "/v2/team/app/manifests/v1").body == newer
        reply = ask(cache.url, "GET", f"/v2/team/app/blobs/{digest(layer)}", range="bytes=5-9")
        assert (reply.status, reply.body) == (206, layer[5:10])
        assert ask(cache.url, "GET", "/v2/team/app/manifests/other").status == 503


def test_nobody_pushes_to_a_cache(tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "cache", "--proxy", "http://127.0.0.1:1") as cache:
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/v1"),
                             ("DELETE", "manifests/v1")):  # fmt: skip
            reply = ask(cache.url, method, f"/v2/app/{path}", b"{}")
            assert reply.status == 405
            assert json.loads(reply.body)["errors"][0]["code"] == "UNSUPPORTED"


def test_two_who_want_the_same_wait_for_one_download(tmp_path: Path) -> None:
    layer = os.urandom(8_000_000)
    with registry_server.serve(tmp_path / "origin") as origin:
        url = f"http://{origin.address}"
        image(url, layer)
        with own_registry.serve(tmp_path / "cache", "--proxy", url) as cache:
            found: list[bytes] = []

            def pull() -> None:
                reply = ask(cache.url, "GET", f"/v2/team/app/blobs/{digest(layer)}")
                found.append(reply.body)

            threads = [threading.Thread(target=pull) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [layer] * 6
            assert metric(cache, "cache_misses_total") == 1


class Liar(BaseHTTPRequestHandler):
    """An origin whose bytes are not what was asked for."""

    protocol_version = "HTTP/1.1"
    blob = b"x" * 500_000
    sent = b"y" * 500_000

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.sent)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", OCI if "manifests" in self.path else "a/b")
        self.send_header("Content-Length", str(len(self.sent)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_b07_wrong_bytes_of_the_origin_are_never_passed_on_whole(tmp_path: Path, liar: str) -> None:
    with own_registry.serve(tmp_path / "cache", "--proxy", liar) as cache:
        path = f"/v2/team/app/blobs/{digest(Liar.blob)}"
        with contextlib.suppress(http.client.HTTPException, ConnectionError):
            assert ask(cache.url, "GET", path).status == 502  # found out before the first byte
        reply = ask(cache.url, "GET", f"/v2/team/app/manifests/{digest(Liar.blob)}")
        assert reply.status == 502
        assert ask(cache.url, "GET", "/v2/team/app/manifests/v1").status == 502
    kept = [path for path in (tmp_path / "cache/blobs").rglob("*") if path.is_file()]
    assert kept == []
    assert list((tmp_path / "cache/uploads").iterdir()) == []

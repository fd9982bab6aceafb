"""Turns a URL into a registry that checks push to and pull from, whoever's it is."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from helpers import own_registry, registry_server
from helpers.own_registry import Reply, ask

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCTETS = "application/octet-stream"
MISSING = "sha256:" + "a" * 64
OLD = {
    "chunk": "answers an upload out of order with 202 or 404",
    "referrers": "has no referrers API",
    "range": "announces a whole blob with its 416",
    "sha512": "names blobs by sha256 only",
}
"""What Docker's registry 2.8 lacks."""


class Subject:
    """One registry, and helpers that push to it."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url
        self.name = f"conformance/{uuid.uuid4().hex[:12]}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        return ask(self.url, method, path, body, **headers)

    def at(self, path: str) -> str:
        return f"/v2/{self.name}/{path}"

    def start(self, **headers: str) -> str:
        reply = self.ask("POST", self.at("blobs/uploads/"), **headers)
        assert reply.status == 202
        return reply.header("Location")

    def push(self, data: bytes, name: str = "") -> str:
        digest = digest_of(data)
        reply = self.ask("POST", f"/v2/{name or self.name}/blobs/uploads/")
        location = with_digest(reply.header("Location"), digest)
        done = self.ask("PUT", location, data, content_type=OCTETS)
        assert done.status == 201, done
        return digest

    def manifest(self, **more: Any) -> bytes:
        config, layer = b'{"architecture":"amd64","os":"linux"}', b"layer" + self.name.encode()
        return encode({
            "schemaVersion": 2, "mediaType": OCI,
            "config": about(CONFIG, config, self.push(config)),
            "layers": [about(LAYER, layer, self.push(layer))], **more,
        })  # fmt: skip

    def put(self, data: bytes, target: str, kind: str = OCI) -> Reply:
        return self.ask("PUT", self.at(f"manifests/{target}"), data, content_type=kind)

    def lacks(self, what: str) -> None:
        """Debian's registry is of the specification's version 1.0."""
        if self.kind == "docker-registry":
            pytest.xfail(f"docker-registry {OLD[what]}")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def about(kind: str, data: bytes, digest: str = "") -> dict[str, Any]:
    return {"mediaType": kind, "size": len(data), "digest": digest or digest_of(data)}


def encode(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def chunk(
    registry: Subject, location: str, data: bytes, start: int, method: str = "PATCH"
) -> Reply:
    span = f"{start}-{start + len(data) - 1}"
    return registry.ask(method, location, data, content_type=OCTETS, content_range=span)


def registries(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A running registry of a kind, and its URL."""
    folder = tmp_path_factory.mktemp("registry")
    if kind == "ours":
        with own_registry.serve(folder / "root") as server:
            yield kind, server.url
    else:
        with registry_server.serve(folder, delete=True) as peer:
            yield kind, f"http://{peer.address}"

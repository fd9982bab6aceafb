"""The stricter rows of the suite that follows 1.1.1: ranges, cancels, sha512, bounds."""

from __future__ import annotations

import hashlib
import json

import pytest

from helpers.distribution import (
    INDEX,
    LAYER,
    OCI,
    Subject,
    about,
    chunk,
    digest_of,
    encode,
    with_digest,
)


def test_an_upload_is_cancelled(registry: Subject) -> None:
    location = registry.start()
    assert registry.ask("DELETE", location).status == 204
    assert registry.ask("GET", location).status == 404


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("500-1499", 500, 1500), ("500-", 500, 3000), ("-500", 2500, 3000), ("2000-5000", 2000, 3000)],
)
def test_a_range_of_a_blob(registry: Subject, wanted: str, start: int, end: int) -> None:
    data = bytes(number % 251 for number in range(3000))
    path = registry.at(f"blobs/{registry.push(data)}")
    reply = registry.ask("GET", path, range=f"bytes={wanted}")
    assert reply.status == 206
    assert reply.body == data[start:end]
    assert reply.header("Content-Range") == f"bytes {start}-{end - 1}/3000"


@pytest.mark.parametrize("wanted", ["5000-10000", "3000-"])
def test_a_range_behind_a_blob_is_416(registry: Subject, wanted: str) -> None:
    registry.lacks("range")
    path = registry.at(f"blobs/{registry.push(bytes(3000))}")
    reply = registry.ask("GET", path, range=f"bytes={wanted}")
    assert reply.status == 416
    assert reply.header("Content-Range") == "bytes */3000"


@pytest.mark.parametrize("how", ["post", "put", "patch"])
def test_a_wrong_digest_is_400(registry: Subject, how: str) -> None:
    data, wrong = b"not what was promised", digest_of(b"promised")
    if how == "post":
        if registry.kind != "ours":
            pytest.xfail("docker-registry 2.8 has no monolithic POST")
        reply = registry.ask("POST", registry.at(f"blobs/uploads/?digest={wrong}"), data)
    elif how == "put":
        reply = registry.ask("PUT", with_digest(registry.start(), wrong), data)
    else:
        location = registry.ask("PATCH", registry.start(), data).header("Location")
        reply = registry.ask("PUT", with_digest(location, wrong), b"")
    assert reply.status == 400
    assert json.loads(reply.body)["errors"][0]["code"] == "DIGEST_INVALID"
    assert registry.ask("HEAD", registry.at(f"blobs/{wrong}")).status == 404


def test_sha512(registry: Subject) -> None:
    registry.lacks("sha512")
    data = b"hashed by another algorithm"
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"
    reply = registry.ask("POST", registry.at("blobs/uploads/?digest-algorithm=sha512"))
    half = chunk(registry, reply.header("Location"), data[:5], 0)
    done = chunk(registry, with_digest(half.header("Location"), digest), data[5:], 5, "PUT")
    assert done.status == 201
    assert registry.ask("GET", registry.at(f"blobs/{digest}")).body == data
    manifest = registry.manifest(layers=[about(LAYER, data, digest)])
    named = f"sha512:{hashlib.sha512(manifest).hexdigest()}"
    reply = registry.put(manifest, f"{named}?tag=a&tag=b")
    assert reply.status == 201
    assert reply.header("OCI-Tag") == "a, b"
    assert registry.ask("GET", registry.at("manifests/b")).header("Docker-Content-Digest") == named


def test_a_very_large_manifest(registry: Subject) -> None:
    """Four megabytes at least have to be possible."""
    data = registry.manifest(annotations={"padding": "x" * (4 * 1024 * 1024 - 2000)})
    assert 4_190_000 < len(data) <= 4 * 1024 * 1024
    assert registry.put(data, "large").status == 201
    assert registry.ask("GET", registry.at("manifests/large"), accept=OCI).body == data


def test_an_index_of_an_index(registry: Subject) -> None:
    image = registry.manifest()
    registry.put(image, digest_of(image))
    inner = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [about(OCI, image)]})
    assert registry.put(inner, digest_of(inner), INDEX).status == 201
    outer = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [about(INDEX, inner)]})
    assert registry.put(outer, "nested", INDEX).status == 201
    reply = registry.ask("GET", registry.at("manifests/nested"), accept=INDEX)
    assert reply.body == outer

"""The checks of the OCI conformance suite 1.1.1, of any registry: ours, and Debian's beside it.

``docs/conformance/oci-distribution.md`` names them. Expectations are the specification's; a check
that Docker's registry of 2022 (specification 1.0) does not pass says so.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.distribution import (
    CONFIG,
    INDEX,
    LAYER,
    MISSING,
    OCI,
    OCTETS,
    Subject,
    about,
    chunk,
    digest_of,
    encode,
    with_digest,
)
from helpers.own_registry import Reply

# 01 Pull


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_blob_that_is_missing_is_404(registry: Subject, method: str) -> None:
    assert registry.ask(method, registry.at(f"blobs/{MISSING}")).status == 404


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_blob_that_exists_is_200(registry: Subject, method: str) -> None:
    digest = registry.push(b"a blob")
    reply = registry.ask(method, registry.at(f"blobs/{digest}"))
    assert reply.status == 200
    assert reply.header("Docker-Content-Digest") == digest
    assert reply.header("Content-Length") == "6"
    assert reply.body == (b"a blob" if method == "GET" else b"")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("target", ["nothing", MISSING, ".INVALID_MANIFEST_NAME"])
def test_a_manifest_that_is_missing_is_404(registry: Subject, method: str, target: str) -> None:
    reply = registry.ask(method, registry.at(f"manifests/{target}"))
    assert reply.status == 404
    if method == "GET" and not target.startswith("."):  # Docker's has no words for such a path
        assert json.loads(reply.body)["errors"][0]["code"] in ("MANIFEST_UNKNOWN", "NAME_UNKNOWN")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("by", ["digest pushed by tag", "digest pushed by digest", "tag"])
def test_a_manifest_that_exists_is_200(registry: Subject, method: str, by: str) -> None:
    data = registry.manifest()
    digest = digest_of(data)
    pushed = registry.put(data, digest if by.endswith("by digest") else "v1")
    assert pushed.status == 201
    target = "v1" if by == "tag" else digest
    reply = registry.ask(method, registry.at(f"manifests/{target}"), accept=OCI)
    assert reply.status == 200
    assert reply.header("Docker-Content-Digest") == digest
    assert reply.header("Content-Length") == str(len(data))
    assert reply.header("Content-Type") == OCI
    assert reply.body == (data if method == "GET" else b"")


def test_a_malformed_digest_is_told_as_the_specification_has_it(registry: Subject) -> None:
    reply = registry.ask(
        "PUT", registry.at("manifests/sha256:totallywrong"), b"blablabla", content_type=OCI
    )
    assert reply.status in (400, 404)
    if reply.status == 400:
        assert json.loads(reply.body)["errors"][0]["code"] in (
            "DIGEST_INVALID", "MANIFEST_INVALID", "NAME_INVALID",
        )  # fmt: skip


# 02 Push


def test_a_streamed_upload(registry: Subject) -> None:
    """PATCH without a range, then PUT."""
    pieces = [b"one ", b"two"]
    digest = digest_of(b"".join(pieces))
    first = registry.ask("PATCH", registry.start(), iter(pieces), content_type=OCTETS)
    assert first.status == 202
    done = registry.ask("PUT", with_digest(first.header("Location"), digest), b"")
    assert done.status == 201
    assert registry.ask("GET", done.header("Location")).body == b"one two"


def test_a_monolithic_post(registry: Subject) -> None:
    """201 and the blob is there, or 202 and a session."""
    data = b"all at once"
    path = registry.at(f"blobs/uploads/?digest={digest_of(data)}")
    reply = registry.ask("POST", path, data, content_type=OCTETS)
    assert reply.status in (201, 202)
    assert reply.header("Location")
    found = registry.ask("GET", registry.at(f"blobs/{digest_of(data)}"))
    assert found.status == (200 if reply.status == 201 else 404)
    if registry.kind == "ours":
        assert reply.status == 201


@pytest.mark.parametrize("data", [b"{}", b"", b"x" * 3_000_000], ids=["config", "empty", "layer"])
def test_a_monolithic_post_and_put(registry: Subject, data: bytes) -> None:
    digest = digest_of(data)
    done = registry.ask("PUT", with_digest(registry.start(), digest), data, content_type=OCTETS)
    assert done.status == 201
    assert done.header("Location").endswith(f"/v2/{registry.name}/blobs/{digest}")
    assert registry.ask("GET", registry.at(f"blobs/{digest}")).body == data


def test_a_chunk_out_of_order_is_416(registry: Subject) -> None:
    registry.lacks("chunk")
    reply = chunk(registry, registry.start(content_length="0"), b"second", 5)
    assert reply.status == 416


def test_a_chunked_upload_with_a_repeat(registry: Subject) -> None:
    """Six checks of the suite: they follow from each other."""
    first, second = b"first chunk, ", b"second chunk"
    location = registry.start(content_length="0")
    begun = chunk(registry, location, first, 0)
    assert begun.status == 202
    assert begun.header("Range") == f"0-{len(first) - 1}"
    registry.lacks("chunk")
    assert chunk(registry, location, first, 0).status == 416
    told = registry.ask("GET", location)
    assert told.status == 204
    assert told.header("Location")
    assert told.header("Range") == f"0-{len(first) - 1}"
    more = chunk(registry, told.header("Location"), second, len(first))
    assert more.status == 202
    assert more.header("Range") == f"0-{len(first) + len(second) - 1}"
    digest = digest_of(first + second)
    done = registry.ask("PUT", with_digest(more.header("Location"), digest), b"")
    assert done.status == 201
    assert registry.ask("GET", done.header("Location")).body == first + second


@pytest.mark.parametrize("there", [True, False])
def test_a_mount_without_a_source_is_a_blob_or_a_session(registry: Subject, there: bool) -> None:
    """Whether a registry looks for it is left open; ours does."""
    digest = registry.push(b"elsewhere")
    other = f"{registry.name}/other"
    reply = registry.ask("POST", f"/v2/{other}/blobs/uploads/?mount={digest if there else MISSING}")
    assert reply.status == (201 if there and registry.kind == "ours" else 202)
    assert reply.header("Location")
    found = registry.ask("GET", f"/v2/{other}/blobs/{digest}")
    assert found.status == (200 if reply.status == 201 else 404)


def test_a_mount_is_a_blob(registry: Subject) -> None:
    digest, other = registry.push(b"mounted"), f"{registry.name}/other"
    path = f"/v2/{other}/blobs/uploads/?mount={digest}&from={registry.name}"
    reply = registry.ask("POST", path)
    assert reply.status == 201
    assert reply.header("Location").endswith(f"/v2/{other}/blobs/{digest}")
    assert registry.ask("GET", f"/v2/{other}/blobs/{digest}").body == b"mounted"


def test_a_mount_of_what_is_missing_is_a_session(registry: Subject) -> None:
    path = registry.at(f"blobs/uploads/?mount={MISSING}&from={registry.name}/other")
    reply = registry.ask("POST", path)
    assert reply.status == 202
    assert f"/v2/{registry.name}/blobs/uploads/" in reply.header("Location")


def test_manifests_are_accepted(registry: Subject) -> None:
    data = registry.manifest()
    for tag in ("test0", "test1", "test2", "test3"):
        reply = registry.put(data, tag)
        assert reply.status == 201
        assert reply.header("Location")
        assert reply.header("Docker-Content-Digest") == digest_of(data)
    found = registry.ask("GET", registry.at(f"manifests/{digest_of(data)}"), accept=OCI)
    assert found.body == data


def test_a_manifest_without_layers_is_accepted(registry: Subject) -> None:
    data = registry.manifest(layers=[])
    assert registry.put(data, "empty").status == 201


def test_a_manifest_whose_blobs_are_missing_is_refused(registry: Subject) -> None:
    """The specification allows this (MANIFEST_BLOB_UNKNOWN); both registries do."""
    data = registry.manifest(layers=[about(LAYER, b"never pushed")])
    reply = registry.put(data, "v1")
    assert 400 <= reply.status < 500
    assert json.loads(reply.body)["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
    assert registry.ask("GET", registry.at("manifests/v1")).status == 404


# 03 Content discovery


def tags_of(registry: Subject, query: str = "") -> list[str]:
    reply = registry.ask("GET", registry.at(f"tags/list{query}"))
    assert reply.status == 200
    value = json.loads(reply.body)
    assert value["name"] == registry.name
    found: list[str] = value["tags"]
    return found


def test_tags_are_listed_in_pages(registry: Subject) -> None:
    data = registry.manifest()
    for tag in ("test2", "test0", "Test1", "test3"):
        assert registry.put(data, tag).status == 201
    everything = ["Test1", "test0", "test2", "test3"]
    assert sorted(tags_of(registry)) == everything
    if registry.kind == "ours":  # Docker's 2.8 sorts no tags, and pages the catalog only
        assert tags_of(registry) == everything
        assert tags_of(registry, "?n=2") == everything[:2]
        assert tags_of(registry, "?n=2&last=test0") == everything[2:]
        assert tags_of(registry, "?last=test0") == everything[2:]
        assert tags_of(registry, "?n=0") == []


def test_the_link_leads_through_all_tags(registry: Subject) -> None:
    if registry.kind != "ours":
        pytest.xfail("docker-registry 2.8 pages the catalog only")
    data = registry.manifest()
    wanted = [f"v{number}" for number in range(5)]
    for tag in wanted:
        registry.put(data, tag)
    path, found = registry.at("tags/list?n=2"), []
    for _ in range(3):
        reply = registry.ask("GET", path)
        found += json.loads(reply.body)["tags"]
        link = reply.headers.get("Link")
        if link is None:
            break
        assert link.endswith('>; rel="next"')
        path = link[1:].partition(">")[0]
    assert found == wanted
    assert link is None


def test_the_catalog_is_listed_in_pages(registry: Subject) -> None:
    for number in range(3):
        registry.push(b"x", f"{registry.name}/{number}")
        subject = Subject(registry.kind, registry.url)
        subject.name = f"{registry.name}/{number}"
        subject.put(subject.manifest(), "v1")
    reply = registry.ask("GET", f"/v2/_catalog?n=2&last={registry.name}")
    names = json.loads(reply.body)["repositories"]
    assert names == [f"{registry.name}/0", f"{registry.name}/1"]
    assert 'rel="next"' in reply.header("Link")


def referrers(registry: Subject, digest: str, query: str = "") -> tuple[Reply, list[Any]]:
    reply = registry.ask("GET", registry.at(f"referrers/{digest}{query}"))
    assert reply.status == 200
    assert reply.header("Content-Type") == INDEX
    value = json.loads(reply.body)
    assert (value["schemaVersion"], value["mediaType"]) == (2, INDEX)
    return reply, value["manifests"]


def test_referrers(registry: Subject) -> None:
    """Four checks: none, some, some of a type, and of a manifest that is not there."""
    registry.lacks("referrers")
    assert referrers(registry, MISSING)[1] == []
    subject = registry.manifest()
    registry.put(subject, "v1")
    points = {"subject": about(OCI, subject)}
    kinds = ["application/vnd.food.stand", "application/vnd.nhl.peanut.butter.bagel"]
    expected = {}
    for number, kind in enumerate(kinds):
        marks = {"org.opencontainers.conformance.test": str(number)}
        artifact = registry.manifest(artifactType=kind, annotations=marks, **points)
        reply = registry.put(artifact, digest_of(artifact))
        assert reply.status == 201
        assert reply.header("OCI-Subject") == digest_of(subject)
        expected[digest_of(artifact)] = {
            **about(OCI, artifact), "artifactType": kind, "annotations": marks,
        }  # fmt: skip
    plain = registry.manifest(**points)
    registry.put(plain, digest_of(plain))
    expected[digest_of(plain)] = {**about(OCI, plain), "artifactType": CONFIG}
    index = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], **points})
    assert registry.put(index, digest_of(index), INDEX).header("OCI-Subject")
    expected[digest_of(index)] = about(INDEX, index)
    _, found = referrers(registry, digest_of(subject))
    assert {item["digest"]: item for item in found} == expected
    reply, found = referrers(registry, digest_of(subject), f"?artifactType={kinds[0]}")
    assert reply.header("OCI-Filters-Applied") == "artifactType"
    assert [item["artifactType"] for item in found] == [kinds[0]]

    missing = {"subject": {"mediaType": OCI, "size": 10, "digest": MISSING}}
    about_nothing = registry.manifest(**missing)
    assert registry.put(about_nothing, "about").header("OCI-Subject") == MISSING
    assert [item["digest"] for item in referrers(registry, MISSING)[1]] == [
        digest_of(about_nothing)
    ]


# 04 Content management


def test_a_tag_is_deleted_alone(registry: Subject) -> None:
    data = registry.manifest()
    registry.put(data, "one")
    registry.put(data, "two")
    reply = registry.ask("DELETE", registry.at("manifests/one"))
    assert reply.status in (202, 400, 405)
    if registry.kind == "docker-registry":
        return  # 2.8 deletes by digest only, which the specification allows
    assert reply.status == 202
    assert registry.ask("GET", registry.at("manifests/one")).status == 404
    assert registry.ask("GET", registry.at("manifests/two")).status == 200
    assert tags_of(registry) == ["two"]


def test_a_manifest_is_deleted_with_its_tags(registry: Subject) -> None:
    data = registry.manifest()
    registry.put(data, "one")
    path = registry.at(f"manifests/{digest_of(data)}")
    assert registry.ask("DELETE", path).status == 202
    assert registry.ask("GET", path).status == 404
    assert registry.ask("GET", registry.at("manifests/one")).status == 404
    assert registry.ask("DELETE", path).status == 404
    if registry.kind == "ours":  # Docker's says null
        assert tags_of(registry) == []


def test_a_blob_is_deleted(registry: Subject) -> None:
    path = registry.at(f"blobs/{registry.push(b'to delete')}")
    assert registry.ask("DELETE", path).status == 202
    assert registry.ask("GET", path).status == 404
    assert registry.ask("DELETE", path).status == 404

"""Whoever owns the registry, but not the key, gets nothing past a policy; a policy with a mistake
lets nothing past at all. One test a trick; after each the store is as empty as before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from helpers import own_registry, registry_server
from helpers.registry_server import Registry
from helpers.tars import file, tar
from helpers.trust import Machine, signed_by

pytestmark = pytest.mark.root
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Place(NamedTuple):
    """A registry that the attacker owns, with one signed image and one that is not; a user who
    demands a signature."""

    registry: Registry
    signer: Machine
    user: Machine
    public: Path
    signed: str
    unsigned: str

    def get(self, path: str) -> bytes:
        reply = own_registry.ask(f"http://{self.registry.address}", "GET", f"/v2/api/{path}",
                                 accept=f"{MANIFEST}, {INDEX}")  # fmt: skip
        assert reply.status == 200, reply.body
        return reply.body

    def put(self, target: str, data: bytes, kind: str = MANIFEST) -> None:
        url = f"http://{self.registry.address}"
        reply = own_registry.ask(url, "PUT", f"/v2/api/manifests/{target}", data, content_type=kind)
        assert reply.status == 201, reply.body

    def name(self, tag: str) -> str:
        return f"{self.registry.address}/api:{tag}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with registry_server.serve(tmp_path / "registry", delete=True) as registry:
        signer, user = Machine(tmp_path / "signer"), Machine(tmp_path / "user")
        key, public = signer.keys("team")
        signed = push(signer, f"{registry.address}/api:1", b"signed\n")
        unsigned = push(signer, f"{registry.address}/api:2", b"not signed\n")
        signer.run("image", "sign", "--key", key, f"{registry.address}/api:1")
        user.policy({"default": signed_by(public)})
        yield Place(registry, signer, user, public, signed, unsigned)
        assert user.nothing_here()


def push(machine: Machine, name: str, content: bytes) -> str:
    path = machine.root / "rootfs.tar"
    path.write_bytes(tar(file("motd", content)))
    machine.run("image", "import", path, name)
    return machine.run("push", name).partition("digest: ")[2].split()[0]


def signature_tag(digest: str) -> str:
    return digest.replace(":", "-") + ".sig"


def test_a_signature_of_another_image(place: Place) -> None:
    """Copied to where the unsigned one's would be."""
    stolen = place.get(f"manifests/{signature_tag(place.signed)}")
    place.put(signature_tag(place.unsigned), stolen)
    said = place.user.refused("pull", place.name("2"))
    assert f"a signature of another image, {place.signed}" in said


def test_another_tag_of_a_signed_image(place: Place) -> None:
    """A signed old version in place of a new one: the name that was signed has its tag."""
    place.put("3", place.get("manifests/1"))
    said = place.user.refused("pull", place.name("3"))
    assert f"a signature for '{place.name('1')}', which matchRepoDigestOrExact" in said


def test_a_signed_image_in_another_repository(place: Place) -> None:
    key = place.signer.root / "team.key"
    other = f"{place.registry.address}/evil:1"
    push(place.signer, other, b"signed\n")
    place.signer.run("image", "sign", "--key", key, "--sign-identity", place.name("1"), other)
    policy = signed_by(place.public, signedIdentity={"type": "matchRepository"})
    place.user.policy({"default": policy})
    assert "matchRepository does not allow" in place.user.refused("pull", other)


def test_another_image_under_the_signed_tag(place: Place) -> None:
    place.put("1", place.get("manifests/2"))
    assert "it has no signature" in place.user.refused("pull", place.name("1"))


def test_a_payload_that_was_changed_in_the_registry(place: Place) -> None:
    manifest = json.loads(place.get(f"manifests/{signature_tag(place.signed)}"))
    [layer] = manifest["layers"]
    path = place.registry.blob_path(layer["digest"])
    path.write_bytes(path.read_bytes().replace(b"cosign", b"Cosign"))
    assert "refused" in place.user.refused("pull", place.name("1"))


def test_a_payload_of_the_attackers_under_a_signature_that_was_stolen(place: Place) -> None:
    """The claim is replaced whole, with its digest: the signature does not fit any more."""
    manifest = json.loads(place.get(f"manifests/{signature_tag(place.signed)}"))
    [layer] = manifest["layers"]
    claim = place.get(f"blobs/{layer['digest']}").replace(
        place.signed.encode(), place.unsigned.encode()
    )
    digest = f"sha256:{hashlib.sha256(claim).hexdigest()}"
    url = f"http://{place.registry.address}"
    begun = own_registry.ask(url, "POST", "/v2/api/blobs/uploads/")
    where = begun.header("Location")
    target = f"{where}{'&' if '?' in where else '?'}digest={digest}"
    assert own_registry.ask(url, "PUT", target, claim).status == 201
    layer["digest"], layer["size"] = digest, len(claim)
    place.put(signature_tag(place.unsigned), json.dumps(manifest).encode())
    assert "a signature by another key" in place.user.refused("pull", place.name("2"))


@pytest.mark.parametrize(
    "change",
    [
        {"dev.cosignproject.cosign/signature": "not base64"},
        {"dev.cosignproject.cosign/signature": ""},
        {"dev.cosignproject.cosign/signature": "AAAA"},
        {},
    ],
)
def test_annotations_that_are_no_signature(place: Place, change: dict[str, str]) -> None:
    manifest = json.loads(place.get(f"manifests/{signature_tag(place.signed)}"))
    manifest["layers"][0]["annotations"] = change
    place.put(signature_tag(place.signed), json.dumps(manifest).encode())
    place.put(place.signed.replace(":", "-"), json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode(), INDEX)  # fmt: skip
    assert "a signature is required" in place.user.refused("pull", place.name("1"))


def test_an_index_where_a_signature_belongs(place: Place) -> None:
    empty = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    place.put(signature_tag(place.unsigned), json.dumps(empty).encode(), INDEX)
    assert "layers: a list is expected" in place.user.refused("pull", place.name("2"))


def refuses_all(place: Place) -> str:
    """Even the signed image is not taken."""
    return place.user.refused("pull", place.name("1"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"default": []}', '{"defualt": [{"type": "insecureAcceptAnything"}]}',
     '{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}',
     '{"default": [{"type": "insecureacceptanything"}]}'],
)  # fmt: skip
def test_a_policy_with_a_mistake_lets_nothing_in(place: Place, text: str) -> None:
    """And the next file, which would, is not asked."""
    (place.user.root / "policy.json").write_text(text)
    user = place.user.root / "xdg" / "containers"
    user.mkdir(parents=True)
    (user / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    assert f"policy: {place.user.root / 'policy.json'}" in refuses_all(place)


def test_a_policy_that_is_a_folder_lets_nothing_in(place: Place) -> None:
    (place.user.root / "policy.json").unlink()
    (place.user.root / "policy.json").mkdir()
    assert "no image is taken without it" in refuses_all(place)


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ({"type": "sigstoreSigned", "keyPath": "/nonexistent.pub"}, "No such file"),
        ({"type": "sigstoreSigned", "keyData": "bm8ga2V5"}, "no public key"),
        ({"type": "sigstoreSigned", "keyData": "%%"}, "refused by"),
        ({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/x.gpg"}, "not implemented"),
        ({"type": "sigstoreSigned", "fulcio": {"caPath": "/x"}}, "not implemented"),
    ],
)
def test_a_demand_that_cannot_be_checked_is_not_met(
    place: Place, requirement: dict[str, Any], told: str
) -> None:
    place.user.policy({"default": [requirement]})
    assert told in refuses_all(place)


def test_every_requirement_of_a_list_has_to_be_met(place: Place) -> None:
    place.user.policy({"default": [*signed_by(place.public), {"type": "reject"}]})
    assert "are rejected" in refuses_all(place)


def test_no_other_way_in(place: Place) -> None:
    """run, a build's FROM, a build's cache and an archive ask the same policy."""
    name = place.name("2")
    assert "it has no signature" in place.user.try_run("run", "--rm", name, "true").stderr
    context = place.user.root / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {name}\n")
    assert "it has no signature" in place.user.refused("build", context)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    cache = f"type=registry,ref={name}"
    assert "it has no signature" in place.user.refused("build", "--cache-from", cache, context)
    archive = place.signer.root / "archive.tar"
    place.signer.run("image", "save", "-o", archive, name)
    said = place.user.refused("image", "load", "-i", archive)
    assert "refused by" in said and "sigstoreSigned" in said

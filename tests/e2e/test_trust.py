"""Signatures and policies: Debian's docker-registry keeps them; skopeo and podman read the same
policy. Debian 12's builds of both refuse to verify sigstore signatures (``helpers.trust``): what
they would verify, openssl does here."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from helpers import own_registry, registry_server
from helpers.registry_server import Registry
from helpers.tars import file, tar
from helpers.trust import DISABLED, Machine, openssl_verifies, signed_by, skopeo, skopeo_takes

pytestmark = pytest.mark.root
REJECT = {"type": "reject"}
ACCEPT = {"type": "insecureAcceptAnything"}
TAKEN = ("", "not verified here")
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with registry_server.serve(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def signer(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "signer")


@pytest.fixture
def user(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "user")


def push(machine: Machine, name: str, content: bytes = b"hello\n") -> str:
    """An image in the registry: its manifest's digest."""
    path = machine.root / "rootfs.tar"
    path.write_bytes(tar(file("motd", content)))
    machine.run("image", "import", path, name)
    said = machine.run("push", name)
    return said.partition("digest: ")[2].split()[0]


def fetch(address: str, path: str) -> bytes:
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    reply = own_registry.ask(f"http://{address}", "GET", f"/v2/{path}", accept=accept)
    assert reply.status == 200, reply.body
    return reply.body


def test_what_is_signed_is_taken_and_what_is_not_is_refused_by_both(
    registry: Registry, signer: Machine, user: Machine, tmp_path: Path
) -> None:
    key, public = signer.keys("team")
    name, other = f"{registry.address}/shop/api:1", f"{registry.address}/shop/api:2"
    digest = push(signer, name)
    push(signer, other, b"not signed\n")
    assert signer.run("image", "sign", "-q", "--key", key, name) == (
        f"{registry.address}/shop/api@{digest}\n"
    )
    policy = user.policy(
        {"default": [REJECT],
         "transports": {"docker": {f"{registry.address}/shop": signed_by(public)}}}
    )  # fmt: skip
    assert "a signature is required, and it has no signature" in user.refused("pull", other)
    assert "no signature exists" in skopeo_takes(tmp_path, policy, other)
    elsewhere = f"{registry.address}/elsewhere:1"
    push(signer, elsewhere)
    assert "are rejected" in user.refused("pull", elsewhere)
    assert "rejected by policy" in skopeo_takes(tmp_path, policy, elsewhere)
    assert user.nothing_here()
    user.run("pull", name)
    assert skopeo_takes(tmp_path, policy, name) in TAKEN
    user.run("pull", f"{registry.address}/shop/api@{digest}")


def test_a_signature_is_where_and_what_cosign_writes(
    registry: Registry, signer: Machine, tmp_path: Path
) -> None:
    """cosign's specs/SIGNATURE_SPEC.md; the referrer as its `oci-1-1` mode writes it, listed by the
    tag schema, for Debian's registry keeps no list."""
    key, public = signer.keys("team")
    name = f"{registry.address}/api:1"
    digest = push(signer, name)
    signer.run("image", "sign", "--key", key, name)
    tag = digest.replace(":", "-")
    by_tag = json.loads(fetch(registry.address, f"api/manifests/{tag}.sig"))
    index = json.loads(fetch(registry.address, f"api/manifests/{tag}"))
    (listed,) = index["manifests"]
    assert listed["artifactType"] == ARTIFACT
    referrer = json.loads(fetch(registry.address, f"api/manifests/{listed['digest']}"))
    assert referrer["subject"]["digest"] == digest
    assert referrer["config"]["mediaType"] == ARTIFACT
    assert by_tag["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    for manifest in (by_tag, referrer):
        (layer,) = manifest["layers"]
        assert layer["mediaType"] == PAYLOAD
        data = fetch(registry.address, f"api/blobs/{layer['digest']}")
        proof = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
        assert openssl_verifies(public, proof, data, tmp_path)
        claim = json.loads(data)["critical"]
        assert claim == {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }
    again = signer.run("image", "sign", "--key", key, name)
    assert "is signed by this key already" in again


def test_what_openssl_signs_in_cosigns_form_is_taken(
    registry: Registry, signer: Machine, user: Machine, tmp_path: Path
) -> None:
    """The signature of somebody who has never seen this code, put there by skopeo. cosign's own
    signatures name only the repository: `matchRepository` takes them, the default doesn't."""
    key, public = tmp_path / "p256.pem", tmp_path / "p256.pub"
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
    run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    name = f"{registry.address}/api:1"
    digest = push(signer, name)
    claim = {"critical": {"identity": {"docker-reference": f"{registry.address}/api"},
                          "image": {"docker-manifest-digest": digest},
                          "type": "cosign container image signature"},
             "optional": None}  # fmt: skip
    layout = tmp_path / "layout"
    write_signature(layout, json.dumps(claim).encode(), key)
    target = f"docker://{registry.address}/api:{digest.replace(':', '-')}.sig"
    copied = run(["skopeo", "copy", "--dest-tls-verify=false", f"dir:{layout}", target],
                 capture_output=True, text=True)  # fmt: skip
    assert copied.returncode == 0, copied.stderr
    user.policy({"default": signed_by(public, signedIdentity={"type": "matchRepository"})})
    user.run("pull", name)
    user.run("rmi", name)
    user.run("image", "prune", "-af")
    user.policy({"default": signed_by(public)})
    assert "matchRepoDigestOrExact does not allow" in user.refused("pull", name)
    assert user.nothing_here()


def write_signature(folder: Path, data: bytes, key: Path) -> None:
    """An image of skopeo's `dir:` transport, signed by openssl."""
    import hashlib

    folder.mkdir()
    proof = run(["openssl", "dgst", "-sha256", "-sign", key], input=data, capture_output=True,
                check=True).stdout  # fmt: skip

    def keep(content: bytes, kind: str) -> dict[str, Any]:
        hexes = hashlib.sha256(content).hexdigest()
        (folder / hexes).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{hexes}", "size": len(content)}

    layer = keep(data, PAYLOAD)
    layer["annotations"] = {"dev.cosignproject.cosign/signature": base64.b64encode(proof).decode()}
    diffs = {"type": "layers", "diff_ids": [layer["digest"]]}
    settings = {"architecture": "", "os": "", "config": {}, "rootfs": diffs}
    config = keep(json.dumps(settings).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": config, "layers": [layer]}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "version").write_text("Directory Transport Version: 1.1\n")


def test_podman_finds_our_signature_and_misses_the_other(
    registry: Registry, signer: Machine, tmp_path: Path
) -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    key, public = signer.keys("team")
    name, other = f"{registry.address}/api:1", f"{registry.address}/api:2"
    push(signer, name)
    push(signer, other, b"not signed\n")
    signer.run("image", "sign", "--key", key, name)
    containers = tmp_path / "home" / ".config" / "containers"
    (containers / "registries.d").mkdir(parents=True)
    policy = containers / "policy.json"
    policy.write_text(json.dumps({"default": signed_by(public)}))
    (containers / "registries.d" / "all.yaml").write_text(
        "default-docker: {use-sigstore-attachments: true}\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    with tempfile.TemporaryDirectory() as short:  # podman's runroot has at most 50 characters
        podman = ["podman", "--root", str(tmp_path / "p"), "--runroot", short,
                  "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
                  "--registries-conf", "/etc/containers/registries.conf", "pull", "-q",
                  "--tls-verify=false", "--signature-policy", str(policy)]  # fmt: skip
        taken, refused = (
            run([*podman, each], capture_output=True, text=True, timeout=60, env=environment)
            for each in (name, other)
        )
    assert taken.returncode == 0 or DISABLED in taken.stderr, taken.stderr
    assert refused.returncode != 0
    assert "no signature exists" in refused.stderr


def test_our_registry_lists_the_signature_as_a_referrer(
    signer: Machine, user: Machine, tmp_path: Path
) -> None:
    """The tag can go: what OCI 1.1 registries list is enough."""
    key, public = signer.keys("team")
    with own_registry.serve(tmp_path / "ours") as ours:
        name = f"{ours.address}/api:1"
        digest = push(signer, name)
        signer.run("image", "sign", "--key", key, name)
        said = user.run("image", "verify-signature", "--key", public, name)
        assert said == f"{digest}: signed as {name}\n"  # once, though it lies in two places
        reply = own_registry.ask(ours.url, "GET", f"/v2/api/referrers/{digest}")
        (listed,) = json.loads(reply.body)["manifests"]
        assert listed["artifactType"] == ARTIFACT
        tag = digest.replace(":", "-") + ".sig"
        gone = own_registry.ask(ours.url, "DELETE", f"/v2/api/manifests/{tag}")
        assert gone.status == 202
        user.policy({"default": signed_by(public)})
        user.run("pull", name)
        said = user.run("image", "verify-signature", "--key", public, name)
    assert said == f"{digest}: signed as {name}\n"


def test_of_an_index_every_image_is_signed(
    registry: Registry, signer: Machine, user: Machine, tmp_path: Path
) -> None:
    """podman and skopeo look for the signature of the manifest that they take."""
    key, public = signer.keys("team")
    name = f"{registry.address}/many:1"
    digest = push(signer, name)
    manifest = fetch(registry.address, f"many/manifests/{digest}")
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
             "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
                            "digest": digest, "size": len(manifest),
                            "platform": {"os": "linux", "architecture": "amd64"}}]}  # fmt: skip
    put = own_registry.ask(
        f"http://{registry.address}", "PUT", "/v2/many/manifests/all", json.dumps(index),
        content_type=index["mediaType"],
    )  # fmt: skip
    assert put.status == 201
    name = f"{registry.address}/many:all"
    policy = user.policy({"default": signed_by(public)})
    assert "has no signature" in user.refused("pull", name)
    said = signer.run("image", "sign", "--key", key, name)
    assert said.count(f"signed as {name}") == 2
    user.run("pull", name)
    assert skopeo_takes(tmp_path, policy, name) in TAKEN


def test_pods_are_told_why_in_an_event(tmp_path: Path) -> None:
    """kubectl shows the policy's reason; nothing is unpacked."""
    from helpers.cluster import Cluster

    cluster = Cluster(tmp_path / "data", tmp_path)
    signer = Machine(tmp_path / "signer")
    _, public = signer.keys("team")
    with registry_server.serve(tmp_path / "registry") as registry:
        name = f"{registry.address}/api:1"
        push(signer, name)
        try:
            cluster.root.mkdir()
            (cluster.root / "policy.json").write_text(json.dumps({"default": signed_by(public)}))
            cluster.up()
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
                   "spec": {"containers": [{"name": "main", "image": name}]}}  # fmt: skip
            cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

            def told() -> str:
                events = cluster.get("events", "--field-selector", "reason=Failed")["items"]
                return "\n".join(event["message"] for event in events)

            said = cluster.eventually(lambda: told() if name in told() else "", "the event comes")
            assert f'Failed to pull image "{name}": SignatureValidationFailed: ' in said
            assert "a signature is required, and it has no signature" in said
            assert "Error: SignatureValidationFailed" in said
            described = cluster.kubectl("describe", "pod", "stranger")
            assert "SignatureValidationFailed" in described
            assert "a signature is required, and it has no signature" in described
            layers = cluster.root / "images" / "layers"
            assert not layers.exists() or list(layers.iterdir()) == []
        finally:
            cluster.close()


def test_skopeo_reads_the_key_that_we_sealed(
    registry: Registry, signer: Machine, tmp_path: Path
) -> None:
    """Where skopeo can sign, with our key; Debian's says that it can't."""
    key, public = signer.keys("team")
    name, signed = f"{registry.address}/plain:1", f"{registry.address}/signed:1"
    push(signer, name)
    (tmp_path / "passphrase").write_text(signer.env["COSIGN_PASSWORD"])
    anything = tmp_path / "anything.json"
    anything.write_text(json.dumps({"default": [ACCEPT]}))
    done = skopeo(
        tmp_path, anything, "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
        "--sign-by-sigstore-private-key", str(key),
        "--sign-passphrase-file", str(tmp_path / "passphrase"),
        f"docker://{name}", f"docker://{signed}",
    )  # fmt: skip
    if done.returncode != 0:
        assert "Debian-local change" in done.stderr, done.stderr
        return
    said = signer.run("image", "verify-signature", "--key", public, signed)
    assert said.endswith(f": signed as {signed}\n")


def test_a_copy_takes_the_signature_along_and_asks_the_policy(
    registry: Registry, signer: Machine, user: Machine, tmp_path: Path
) -> None:
    """As skopeo's: the source has to be admitted; a mirror's policy names the original."""
    key, public = signer.keys("team")
    name, other = f"{registry.address}/shop/api:1", f"{registry.address}/shop/api:2"
    digest = push(signer, name)
    push(signer, other, b"not signed\n")
    signer.run("image", "sign", "--key", key, name)
    mirror = f"{registry.address}/mirror/api"
    remap = {"type": "remapIdentity", "prefix": f"{registry.address}/mirror",
             "signedPrefix": f"{registry.address}/shop"}  # fmt: skip
    user.policy(
        {"default": signed_by(public),
         "transports": {"docker": {f"{registry.address}/mirror":
                                   signed_by(public, signedIdentity=remap)}}}
    )  # fmt: skip
    assert "it has no signature" in user.refused("image", "copy", other, f"{mirror}:2")
    assert registry_server.get(registry.address, "/v2/mirror/api/tags/list")[0] == 404
    user.run("image", "copy", name, f"{mirror}:1")
    user.run("pull", f"{mirror}:1")
    tag = digest.replace(":", "-") + ".sig"
    again = json.loads(fetch(registry.address, f"mirror/api/manifests/{tag}"))
    user.run("image", "copy", name, f"{mirror}:1")
    assert json.loads(fetch(registry.address, f"mirror/api/manifests/{tag}")) == again

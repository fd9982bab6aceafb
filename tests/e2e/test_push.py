"""What a push sends: plain layers packed on their way, and nothing that the registry has."""

import gzip
import hashlib
import json
import urllib.request
from pathlib import Path

import pytest

from helpers import registry_server
from helpers.machine import Machine, archive, skopeo
from helpers.tars import file, folder, tar

pytestmark = pytest.mark.root


def test_plain_layers_are_packed_once_and_mounted_elsewhere(tmp_path: Path) -> None:
    layers = (tar(folder("etc"), file("etc/motd", b"hello\n" * 9000)), tar(file("top", b"x" * 99)))
    machine = Machine(tmp_path / "one")
    machine.run("image", "load", "-qi", str(archive(tmp_path / "plain.tar", *layers)))
    with registry_server.serve(tmp_path / "registry") as registry:
        first, second = f"{registry.address}/team/a:1", f"{registry.address}/team/b:1"
        machine.run("image", "tag", "plain:1", first)
        machine.run("image", "tag", "plain:1", second)
        assert machine.run("push", first).count(": Pushed") == 3
        raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{first}"))
        for plain, layer in zip(layers, raw["layers"], strict=True):
            assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
            packed = registry.blob_path(layer["digest"]).read_bytes()
            assert len(packed) == layer["size"]
            assert gzip.decompress(packed) == plain

        assert machine.run("push", first).count("Layer already exists") == 3
        assert machine.run("push", second).count("Mounted from team/a") == 2
        again = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{second}"))
        assert again == raw
        with urllib.request.urlopen(f"http://{registry.address}/v2/team/b/tags/list") as answer:
            assert json.load(answer)["tags"] == ["1"]

        other = Machine(tmp_path / "two")
        other.run("pull", "-q", second)
        assert other.run("images", "-q") == machine.run("images", "-q")
        by_digest = json.loads(machine.run("images", "--output", "json"))[0]["RepoDigests"]
        told = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{second}"))
        assert f"{registry.address}/team/b@{told['Digest']}" in by_digest


def test_all_tags_go_and_come(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one")
    machine.run("image", "load", "-qi", str(archive(tmp_path / "plain.tar", tar(file("a")))))
    with registry_server.serve(tmp_path / "registry") as registry:
        name = f"{registry.address}/team/app"
        assert machine.try_run("push", "-a", name).returncode == 1
        for tag in ("one", "two"):
            machine.run("tag", "plain:1", f"{name}:{tag}")
        machine.run("push", "-aq", name)
        refused = machine.try_run("pull", "-a", f"{name}:one")
        assert "tag can't be used with --all-tags/-a" in refused.stderr
        other = Machine(tmp_path / "two")
        told = other.run("pull", "-a", name)
        assert told.endswith(f"{name}\n")
        (listed,) = json.loads(other.run("images", "--output", "json"))
        assert listed["RepoTags"] == [f"{name}:one", f"{name}:two"]


def test_copy_keeps_every_platform_and_digest(tmp_path: Path) -> None:
    """An index with two images, of which this machine could run one; skopeo reads the copy."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs[digest] = data
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    kind = "application/vnd.oci.image"
    entries = []
    for machine_kind in ("amd64", "s390x"):
        plain = tar(file("arch", machine_kind.encode()))
        layer = put(gzip.compress(plain), f"{kind}.layer.v1.tar+gzip")
        config = put(json.dumps({
            "os": "linux", "architecture": machine_kind, "config": {},
            "rootfs": {"type": "layers",
                       "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
        }).encode(), f"{kind}.config.v1+json")  # fmt: skip
        manifest = put(json.dumps({
            "schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": config,
            "layers": [layer], "annotations": {"org.example": machine_kind},
        }).encode(), f"{kind}.manifest.v1+json")  # fmt: skip
        entries.append(manifest | {"platform": {"os": "linux", "architecture": machine_kind}})
    index = {"schemaVersion": 2, "mediaType": f"{kind}.index.v1+json", "manifests": entries}
    root = put(json.dumps(index).encode(), f"{kind}.index.v1+json")
    layout = tmp_path / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    root["annotations"] = {"org.opencontainers.image.ref.name": "all"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    for digest, data in blobs.items():
        (layout / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    with (
        registry_server.serve(tmp_path / "r1") as first,
        registry_server.serve(tmp_path / "r2") as second,
    ):
        source = f"{first.address}/a:all"
        skopeo("copy", "-q", "--all", "--dest-tls-verify=false", f"oci:{layout}:all",
               f"docker://{source}")  # fmt: skip
        machine = Machine(tmp_path / "one")
        machine.run("image", "copy", source, f"{second.address}/b:all")
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{second.address}/b:all")
        assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == root["digest"]
        skopeo("copy", "-q", "--all", "--src-tls-verify=false", f"docker://{second.address}/b:all",
               f"dir:{tmp_path / 'back'}")  # fmt: skip
        told = machine.run("image", "copy", source, f"{first.address}/c:all")
        assert told.count("Mounted from a") == 4
        machine.run("image", "copy", "-q", "--platform", "linux/s390x", source,
                    f"{second.address}/b:s390x")  # fmt: skip
        one = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{second.address}/b:s390x")
        assert json.loads(one)["annotations"] == {"org.example": "s390x"}
        assert not (machine.root / "images/images.db").exists()
        victim = next(each for each in blobs if blobs[each][:2] == b"\x1f\x8b")
        path = first.blob_path(victim)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        refused = machine.try_run("image", "copy", source, f"{second.address}/d:all")
        assert refused.returncode == 1
        assert "refused" in refused.stderr

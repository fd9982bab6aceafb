"""What a push sends: plain layers packed on their way, and nothing that the registry has."""

import gzip
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

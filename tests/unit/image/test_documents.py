"""Manifests, indexes and configurations: what is read, what is refused, and why."""

import json
from typing import Any

import pytest

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.oci import manifest as m
from dockyard.base.oci.imageconfig import ImageConfig, parse_config
from dockyard.base.oci.platform import Platform, WindowsImage
from dockyard.base.oci.strictjson import decode, encode

SHA = "sha256:" + "0" * 64
CONFIG = {"mediaType": m.OCI_CONFIG, "digest": SHA, "size": 2}
LAYER = {"mediaType": m.OCI_LAYER + "+gzip", "digest": SHA, "size": 3}
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": m.OCI_MANIFEST,
    "config": CONFIG,
    "layers": [LAYER],
}


def parse(value: Any, said: str | None = None) -> m.Manifest | m.Index:
    return m.parse_document(json.dumps(value).encode(), said, "image x")


def entry(os: str, architecture: str, **more: str) -> dict[str, Any]:
    platform = {"os": os, "architecture": architecture, **more}
    digest = "sha256:" + f"{abs(hash((os, architecture, *more.values()))):064x}"[-64:]
    return {"mediaType": m.OCI_MANIFEST, "digest": digest, "size": 1, "platform": platform}


def index(*entries: dict[str, Any]) -> m.Index:
    found = parse({"schemaVersion": 2, "mediaType": m.OCI_INDEX, "manifests": list(entries)})
    assert isinstance(found, m.Index)
    return found


def test_manifest_without_a_type_is_told_by_its_fields() -> None:
    plain = {key: value for key, value in MANIFEST.items() if key != "mediaType"}
    assert parse(plain).media_type == m.OCI_MANIFEST
    assert parse(plain, m.DOCKER_MANIFEST).media_type == m.DOCKER_MANIFEST


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"manifests": []}, None),
        ({"fsLayers": []}, None),
        ({}, m.OCI_INDEX),
        ({}, m.DOCKER_MANIFEST),
        ({"mediaType": m.OCI_INDEX}, None),
    ],
)
def test_b08_two_meanings_are_refused(change: dict[str, Any], said: str | None) -> None:
    with pytest.raises(m.Ambiguous):
        parse(MANIFEST | change, said)


def test_b08_duplicate_keys_are_refused() -> None:
    text = json.dumps(MANIFEST)[:-1] + ', "layers": []}'
    with pytest.raises(Invalid, match="appears twice"):
        m.parse_document(text.encode(), None, "image x")


@pytest.mark.parametrize(
    "change",
    [
        {"config": None}, {"layers": None}, {"layers": {}}, {"layers": [{}]},
        {"layers": [LAYER | {"size": -1}]}, {"layers": [LAYER | {"size": 1.5}]},
        {"layers": [LAYER | {"size": True}]}, {"layers": [LAYER | {"digest": "sha256:zz"}]},
        {"layers": [LAYER] * 501}, {"config": CONFIG | {"digest": "md5:" + "0" * 32}},
        {"config": CONFIG | {"mediaType": "no type"}}, {"schemaVersion": 3},
    ],
)  # fmt: skip
def test_b09_missing_or_wrong_fields(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        parse(MANIFEST | change)


def test_b09_too_large_too_deep() -> None:
    with pytest.raises(Invalid, match="at most"):
        m.parse_document(b" " * (m.LARGEST + 1), None, "image x")
    with pytest.raises(Invalid):
        decode(b"[" * 100_000 + b"]" * 100_000, "x", limit=1 << 20)
    with pytest.raises(Invalid, match="deeper"):
        decode(b"[" * 70 + b"]" * 70, "x", limit=1 << 20)
    with pytest.raises(Invalid):
        decode(b'{"a": NaN}', "x", limit=100)


@pytest.mark.parametrize("said", [*m.SCHEMA_1, None])
def test_schema_1_is_refused_by_name(said: str | None) -> None:
    with pytest.raises(m.SchemaOne, match="schema 1"):
        parse({"schemaVersion": 1, "fsLayers": []}, said)


def test_an_artifact_is_no_image() -> None:
    config = CONFIG | {"mediaType": "application/vnd.oci.empty.v1+json"}
    found = parse(MANIFEST | {"config": config})
    assert isinstance(found, m.Manifest)
    with pytest.raises(Unsupported, match="artifact"):
        m.check_image(found, "image x")


def test_c07_foreign_layers_are_not_fetched() -> None:
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    found = parse(MANIFEST | {"layers": [LAYER | {"mediaType": kind, "urls": ["file:///etc"]}]})
    assert isinstance(found, m.Manifest)
    with pytest.raises(Unsupported, match="foreign"):
        m.check_image(found, "image x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\ud800", "a\ufffd"),
        (r"\uDC00b", "\ufffdb"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud800\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud800", r"\ud800"),
        (r"\\\ud800x", "\\\ufffdx"),
    ],
)
def test_half_a_surrogate_pair_is_replaced(text: str, expected: str) -> None:
    """As Go's encoding/json has it; no UTF-8 could be made of it (RFC 8259, section 8.2)."""
    found = decode(f'{{"a":"{text}"}}'.encode(), "x", limit=100)
    assert found == {"a": expected}
    assert decode(encode(found), "x", limit=100) == found


def test_platform_choice() -> None:
    host = Platform("linux", "amd64")
    found = index(entry("linux", "arm64"), entry("linux", "amd64"), entry("windows", "amd64"))
    assert m.choose(found, host, "x").platform == host
    arm = index(entry("linux", "arm64", variant="v8"))
    assert m.choose(arm, Platform("linux", "arm64"), "x").platform is not None
    with pytest.raises(Unsupported, match=r"no image for linux/amd64.*linux/arm64"):
        m.choose(index(entry("linux", "arm64")), host, "x")


def test_windows_is_refused_by_name() -> None:
    with pytest.raises(WindowsImage, match="windows"):
        m.choose(index(entry("windows", "amd64")), Platform("linux", "amd64"), "x")
    data = json.dumps({"os": "windows", "architecture": "amd64", "rootfs": {"type": "layers"}})
    with pytest.raises(WindowsImage, match="windows"):
        parse_config(data.encode(), "image x")


def test_config_round_trip() -> None:
    config = ImageConfig(
        Platform("linux", "amd64"), env=("A=b",), cmd=("sh",), exposed_ports=("80/tcp",),
        labels=(("k", "v"),), user="1:2", working_dir="/w", entrypoint=("e",), volumes=("/d",),
        created="2026-01-01T00:00:00Z", onbuild=("RUN x",), shell=("sh", "-ec"),
        healthcheck='{"Test":["CMD","x"],"Interval":5}', stop_signal="SIGINT",
    )  # fmt: skip
    assert parse_config(config.encode(), "image x") == config


@pytest.mark.parametrize(
    "change",
    [
        {"rootfs": {"type": "tar"}}, {"rootfs": {}}, {"config": []}, {"os": ""}, {"os": 5},
        {"config": {"Env": ["NOVALUE"]}}, {"config": {"Env": ["=x"]}},
        {"config": {"Env": ["A=\0"]}}, {"config": {"Cmd": "sh"}}, {"config": {"Labels": {"a": 1}}},
        {"rootfs": {"type": "layers", "diff_ids": ["sha256:x"]}}, {"history": [1]},
    ],
)  # fmt: skip
def test_b09_broken_configs(change: dict[str, Any]) -> None:
    good = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers"}}
    with pytest.raises(Invalid):
        parse_config(json.dumps(good | change).encode(), "image x")

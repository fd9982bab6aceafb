"""The registry client against servers that misbehave: redirects, cuts, refusals, lies."""

import json
import socket
import ssl
from pathlib import Path

import pytest

from dockyard.base.errors import Corrupt
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import digest_of
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.image import (
    ContentMismatch,
    ImageNotFound,
    RegistryDenied,
    RegistryUnavailable,
)
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.dial import words_of
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.registry.transport import Request, Transport
from dockyard.node.image.store import ImageStore
from helpers.scripted_http import Asked, Reply, serve

LOGIN = Credentials("me", "s3cret")
BLOB = b"layer" * 100_000
BLOB_DESCRIPTOR = Descriptor("", digest_of(BLOB), len(BLOB))


def client(address: str, auth: Credentials | None = None) -> RegistryClient:
    return RegistryClient(Hosts(), parse_reference(f"{address}/repo:1"), auth, "pull")


def basic(asked: Asked) -> Reply | None:
    """401 for whoever does not show basic credentials."""
    if "authorization" in asked.headers:
        return None
    return Reply(401, headers=(("WWW-Authenticate", 'Basic realm="x"'),))


def test_c06_credentials_stay_with_their_origin() -> None:
    with serve(lambda asked: Reply(body=BLOB)) as (elsewhere, elsewhere_saw):

        def redirect(asked: Asked) -> Reply:
            location = (("Location", f"http://{elsewhere}/data"),)
            return basic(asked) or Reply(307, headers=location)

        with serve(redirect) as (address, saw), client(address, LOGIN) as registry:
            assert b"".join(registry.blob(BLOB_DESCRIPTOR)) == BLOB
        assert "authorization" in saw[-1].headers
        assert elsewhere_saw
        assert all("authorization" not in asked.headers for asked in elsewhere_saw)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_c06_redirects_to_other_schemes_are_refused(target: str) -> None:
    with (
        serve(lambda asked: Reply(302, headers=(("Location", target),))) as (address, _),
        client(address) as registry,
        pytest.raises(RegistryUnavailable, match="refused"),
    ):
        list(registry.blob(BLOB_DESCRIPTOR))


def test_c06_redirects_end() -> None:
    with (
        serve(lambda asked: Reply(302, headers=(("Location", asked.path),))) as (address, saw),
        client(address) as registry,
        pytest.raises(RegistryUnavailable, match="redirects"),
    ):
        list(registry.blob(BLOB_DESCRIPTOR))
    assert len(saw) < 10


def test_g10_a_blob_is_taken_up_where_it_broke() -> None:
    def answer(asked: Asked) -> Reply:
        span = asked.headers.get("range")
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        said = f"bytes {start}-{len(BLOB) - 1}/{len(BLOB)}"
        headers = (("Content-Range", said),) if span else ()
        return Reply(206 if span else 200, BLOB[start:], headers, cut=200_000)

    with serve(answer) as (address, saw), client(address) as registry:
        assert b"".join(registry.blob(BLOB_DESCRIPTOR)) == BLOB
    assert len(saw) == 3


def test_g10_servers_without_ranges_are_read_again() -> None:
    cuts = iter([100_000, None])
    with (
        serve(lambda asked: Reply(200, BLOB, cut=next(cuts))) as (address, _),
        client(address) as registry,
    ):
        assert b"".join(registry.blob(BLOB_DESCRIPTOR)) == BLOB


def test_g10_busy_servers_are_asked_again_as_they_wish() -> None:
    replies = iter([Reply(429, headers=(("Retry-After", "7"),)), Reply(503), Reply(200, b"ok")])
    waited: list[float] = []
    with serve(lambda asked: next(replies)) as (address, _):
        transport = Transport(Hosts(), address, pause=waited.append)
        with transport.send(Request("GET", f"{transport.base}/v2/", {})) as answer:
            assert answer.read(10) == b"ok"
        transport.close()
    assert waited == [7.0, 0.5]


def test_c04_an_endless_manifest_is_not_read() -> None:
    with (
        serve(lambda asked: Reply(200, bytes(5 << 20))) as (address, _),
        client(address) as registry,
        pytest.raises(ContentMismatch, match="more than"),
    ):
        registry.manifest("1")


def test_wrong_credentials_are_told_without_showing_them() -> None:
    denied = Reply(401, headers=(("WWW-Authenticate", 'Basic realm="x"'),))
    with (
        serve(lambda asked: denied) as (address, saw),
        client(address, LOGIN) as registry,
        pytest.raises(RegistryDenied, match="401") as caught,
    ):
        registry.manifest("1")
    assert len(saw) == 2
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(LOGIN)


def test_a_missing_tag_has_the_registrys_words() -> None:
    said = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no\x1b[31m such"}]}
    with (
        serve(lambda asked: Reply(404, json.dumps(said).encode())) as (address, _),
        client(address) as registry,
        pytest.raises(ImageNotFound, match="the registry has no such tag: MANIFEST_UNKNOWN") as e,
    ):
        registry.manifest("1")
    assert "\x1b" not in str(e.value)


@pytest.mark.parametrize(
    "blob",
    [BLOB + b"more", BLOB[:-1] + b"x"],
)
def test_b07_bytes_that_are_not_the_digest(tmp_path: Path, blob: bytes) -> None:
    """A whole pull of an image whose layer was changed at the registry: nothing is kept."""
    config = json.dumps(
        {"os": "linux", "architecture": "amd64",
         "rootfs": {"type": "layers", "diff_ids": [BLOB_DESCRIPTOR.digest]}}
    ).encode()  # fmt: skip
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": BLOB_DESCRIPTOR.digest,
                    "size": len(BLOB),
                }
            ],
        }
    ).encode()

    def answer(asked: Asked) -> Reply:
        if "/manifests/" in asked.path:
            return Reply(200, manifest)
        return Reply(200, config if asked.path.endswith(digest_of(config)) else blob)

    store = ImageStore(tmp_path)
    with serve(answer) as (address, _), pytest.raises(Corrupt):
        store.pull(f"{address}/repo:1")
    assert store.list() == []
    kept = [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    assert {path.name for path in kept} <= {"lock", "use.lock"}


def test_b08_a_manifest_that_is_not_its_digest(tmp_path: Path) -> None:
    with serve(lambda asked: Reply(200, b"{}")) as (address, _):
        name = f"{address}/repo@sha256:{'0' * 64}"
        with pytest.raises(ContentMismatch, match="refused"):
            ImageStore(tmp_path).pull(name)


def test_a_server_without_tls_is_told_as_such() -> None:
    context = ssl.create_default_context()
    with serve(lambda _: Reply()) as (where, _):
        host, port = where.split(":")
        with (
            socket.create_connection((host, int(port)), 20) as line,
            pytest.raises(OSError) as told,
        ):
            context.wrap_socket(line, server_hostname="localhost")
    assert words_of(told.value).startswith("speaks no TLS; --no-tls-verify")
    assert words_of(OSError(111, "Connection refused")) == "Connection refused"
    failed = ssl.SSLCertVerificationError(1, "[SSL: X] certificate verify failed: why (_ssl.c:992)")
    assert words_of(failed).startswith("certificate verify failed: why; certs.d/")

"""Our client on links that break at any byte, with servers that are busy (G10).

What is pulled and pushed is whole in the end, and what had come before a cut is not sent again.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import digest_of
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.image import RegistryUnavailable
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.transport import Transport
from helpers import own_registry, registry_server
from helpers.cutting import DOWN, UP, Cut, link
from helpers.own_registry import Server, ask

DATA = random.Random(10).randbytes(700_001)
BLOB = Descriptor("", digest_of(DATA), len(DATA))
PLACES = [1, 30, 150, 240, 260, 300, 400, 1000, 65_536, 65_537, 262_144, 300_000, 699_000, 700_001]
"""Bytes: within heads, within and at the ends of what is written at once, at the end."""
WAYS = [pytest.param(False, id="end"), pytest.param(True, id="reset")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_registry.serve(tmp_path_factory.mktemp("registry") / "root") as found:
        path = f"/v2/full/blobs/uploads/?digest={BLOB.digest}"
        assert ask(found.url, "POST", path, DATA).status == 201
        yield found


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same behind TLS; loopback addresses may show any certificate."""
    folder = tmp_path_factory.mktemp("secure")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    flags = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with own_registry.serve(folder / "root", *flags) as found:
        path = f"/v2/full/blobs/uploads/?digest={BLOB.digest}"
        assert ask(found.url, "POST", path, DATA).status == 201
        yield found


def client(
    address: str, repository: str, pause: Callable[[float], object] = lambda seconds: None
) -> RegistryClient:
    """It does not wait between its tries, or as a test says."""
    name = parse_reference(f"{address}/{repository}:1")
    transport = Transport(Hosts(cert_dirs=()), name.registry, pause=pause)
    return RegistryClient(Hosts(cert_dirs=()), name, None, "pull,push", transport=transport)


def gauge(server: Server, name: str) -> int:
    lines = ask(server.url, "GET", "/metrics").body.decode().splitlines()
    (value,) = [line.split()[1] for line in lines if f"_{name} " in line and line[0] != "#"]
    return int(float(value))


def received(server: Server) -> int:
    """Bytes of blobs that the server says it has got."""
    return gauge(server, "blob_bytes_received_total")


def arrived(server: Server, size: int) -> Callable[[float], None]:
    """A pause until so many bytes of some upload are on the server's disk."""

    def wait(seconds: float) -> None:
        deadline = time.monotonic() + 20
        while not any(each.stat().st_size >= size for each in server.root.glob("uploads/*")):
            assert time.monotonic() < deadline, "the server does not keep what has come"

    return wait


def body() -> Iterator[bytes]:
    for at in range(0, len(DATA), 50_000):
        yield DATA[at : at + 50_000]


@pytest.mark.parametrize("reset", WAYS)
@pytest.mark.parametrize("place", PLACES)
def test_g10_a_pull_that_is_cut_at_a_byte_goes_on_there(
    server: Server, place: int, reset: bool
) -> None:
    probe = Cut(DOWN, 1 << 50)  # whether TLS is spoken
    cuts = [probe, Cut(DOWN, place, reset), Cut(DOWN, place, reset)]
    with link(server.address, *cuts) as line, client(line.address, "full") as registry:
        assert b"".join(registry.blob(BLOB)) == DATA
    if not reset:  # which throws away what is on its way
        assert line.carried[DOWN] < len(DATA) + 10_000


@pytest.mark.parametrize("reset", WAYS)
@pytest.mark.parametrize("place", [100, 1200, 1500, 5000, 100_000, 500_000, 704_000])
def test_g10_a_pull_over_tls_that_is_cut(secure: Server, place: int, reset: bool) -> None:
    cuts = [Cut(DOWN, 1 << 50), Cut(DOWN, place, reset), Cut(DOWN, place, reset)]
    with link(secure.address, *cuts) as line, client(line.address, "full") as registry:
        assert b"".join(registry.blob(BLOB)) == DATA


def test_g10_links_that_break_for_ever_are_given_up(server: Server) -> None:
    cuts = [Cut(DOWN, 1 << 50), *[Cut(DOWN, 2000)] * 50]
    with (
        link(server.address, *cuts) as line,
        client(line.address, "full") as registry,
        pytest.raises(RegistryUnavailable, match=r"broke off 5 times, last after [0-9]+ of 700001"),
    ):
        list(registry.blob(BLOB))
    assert line.connections < 10


def test_g10_links_that_break_often_but_bring_something_are_not(server: Server) -> None:
    cuts = [Cut(DOWN, 1 << 50), *[Cut(DOWN, 70_000)] * 50]
    with link(server.address, *cuts) as line, client(line.address, "full") as registry:
        assert b"".join(registry.blob(BLOB)) == DATA
    assert line.connections > 10


@pytest.mark.parametrize("reset", WAYS)
@pytest.mark.parametrize("place", PLACES)
def test_g10_a_push_that_is_cut_at_a_byte_goes_on_there(
    server: Server, place: int, reset: bool
) -> None:
    repository = f"push/at-{place}-{'reset' if reset else 'end'}"
    before = received(server)
    cuts = [Cut(UP, 1 << 50), Cut(UP, place, reset)]
    with link(server.address, *cuts) as line, client(line.address, repository) as registry:
        registry.upload(BLOB, body)
    there = ask(server.url, "GET", f"/v2/{repository}/blobs/{BLOB.digest}")
    assert there.body == DATA
    assert received(server) - before <= len(DATA)  # nothing was added twice


@pytest.mark.parametrize("place", [100_000, 262_144, 300_000, 699_000])
def test_g10_a_push_sends_nothing_twice(tmp_path: Path, place: int) -> None:
    """Where the server has kept all that came."""
    with own_registry.serve(tmp_path / "root") as server:
        cuts = [Cut(UP, 1 << 50), Cut(UP, place)]
        pause = arrived(server, place - 1000)
        with link(server.address, *cuts) as line, client(line.address, "a", pause) as registry:
            registry.upload(BLOB, body)
        assert ask(server.url, "GET", f"/v2/a/blobs/{BLOB.digest}").body == DATA
        assert line.carried[UP] < len(DATA) + 5000


@pytest.mark.parametrize("place", [300, 900, 100_000, 500_000])
def test_g10_a_push_of_what_is_packed_on_its_way(tmp_path: Path, place: int) -> None:
    """Its digest is known at the end only; packed again, the rest goes on where it was."""
    with own_registry.serve(tmp_path / "root") as server:
        cuts = [Cut(UP, 1 << 50), Cut(UP, place)]
        pause = arrived(server, place - 2000)
        with link(server.address, *cuts) as line, client(line.address, "a", pause) as registry:
            assert registry.upload_stream(body) == (BLOB.digest, BLOB.size)
        assert ask(server.url, "GET", f"/v2/a/blobs/{BLOB.digest}").body == DATA
        if place > 1000:  # else the server may get the little that came after it was asked
            assert line.carried[UP] < len(DATA) + 6000


@pytest.mark.parametrize("place", [500, 20_000, 650_000])
def test_g10_a_push_over_tls_that_is_reset(secure: Server, place: int) -> None:
    repository = f"push/at-{place}"
    cuts = [Cut(UP, 1 << 50), Cut(UP, place, reset=True)]
    with link(secure.address, *cuts) as line, client(line.address, repository) as registry:
        registry.upload(BLOB, body)
    assert ask(secure.url, "GET", f"/v2/{repository}/blobs/{BLOB.digest}").body == DATA


@pytest.mark.parametrize("place", [200, 100_000, 699_999])
def test_g10_an_answer_that_is_lost(server: Server, place: int) -> None:
    """The blob has come, the 201 has not: it is not sent once more."""
    repository = f"lost/at-{place}"
    before = received(server)
    cuts = [Cut(DOWN, 1 << 50), Cut(DOWN, place % 1000 + 100)]
    with link(server.address, *cuts) as line, client(line.address, repository) as registry:
        registry.upload(BLOB, body)
    assert ask(server.url, "GET", f"/v2/{repository}/blobs/{BLOB.digest}").body == DATA
    assert received(server) - before <= len(DATA)


def test_g10_a_session_that_is_gone_begins_anew(server: Server) -> None:
    """As after the server has forgotten it."""

    def bodies() -> Iterator[bytes]:
        for number, piece in enumerate(body()):
            if number == 5 and not gone:
                (session,) = [each.stem for each in (server.root / "uploads").glob("*.json")
                              if json.loads(each.read_text())["name"] == "gone"]  # fmt: skip
                path = f"/v2/gone/blobs/uploads/{session}"
                gone.append(ask(server.url, "DELETE", path).status)
            yield piece

    gone: list[int] = []
    cuts = [Cut(UP, 1 << 50), Cut(UP, 200_000)]
    with link(server.address, *cuts) as line, client(line.address, "gone") as registry:
        registry.upload(BLOB, bodies)
    assert ask(server.url, "GET", f"/v2/gone/blobs/{BLOB.digest}").body == DATA


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="docker-registry is not installed")
@pytest.mark.parametrize("reset", WAYS)
def test_g10_dockers_registry_too(tmp_path: Path, reset: bool) -> None:
    """It takes no session up whose bytes it did not acknowledge: such a layer begins anew."""
    with registry_server.serve(tmp_path / "registry") as registry:
        for place in (300, 1000, 100_000, 400_000, 700_000):
            cuts = [Cut(UP, 1 << 50), Cut(UP, place, reset)]
            with (
                link(registry.address, *cuts) as line,
                client(line.address, f"cut/at-{place}") as mine,
            ):
                mine.upload(BLOB, body)
            status, data = registry_server.get(
                registry.address, f"/v2/cut/at-{place}/blobs/{BLOB.digest}"
            )
            assert (status, hashlib.sha256(data).hexdigest()) == (200, BLOB.digest.hex)
            cuts = [Cut(DOWN, 1 << 50), Cut(DOWN, place, reset), Cut(DOWN, place, reset)]
            with (
                link(registry.address, *cuts) as line,
                client(line.address, f"cut/at-{place}") as mine,
            ):
                assert b"".join(mine.blob(BLOB)) == DATA

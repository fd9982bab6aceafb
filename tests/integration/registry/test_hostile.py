"""What a registry is sent by those who mean no good: groups B and C of the abuse cases, by row."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from helpers import own_registry
from helpers.own_registry import Reply, Server, ask

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "sha256:" + hashlib.sha256(b"{}").hexdigest()
CONFIG = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": EMPTY}
PLAIN = {"schemaVersion": 2, "mediaType": OCI, "config": CONFIG, "layers": []}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_registry.serve(tmp_path_factory.mktemp("r") / "root", "--max-blob-size", "8m") as one:
        push(one, b"{}")
        yield one


def push(server: Server, data: bytes, name: str = "app") -> str:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    path = f"/v2/{name}/blobs/uploads/?digest={digest}"
    assert ask(server.url, "POST", path, data).status == 201
    return digest


def put(server: Server, value: Any, tag: str = "v1", kind: str = OCI) -> Reply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ask(server.url, "PUT", f"/v2/app/manifests/{tag}", data, content_type=kind)


def code(reply: Reply) -> str:
    found: str = json.loads(reply.body)["errors"][0]["code"]
    return found


def files(server: Server) -> set[str]:
    return {str(path.relative_to(server.root)) for path in server.root.rglob("*") if path.is_file()}


def raw(server: Server, data: bytes, until: int = 0) -> bytes:
    """Bytes as they are, and all that comes back before the server closes, or ``until`` bytes."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 20) as client:
        client.sendall(data)
        found = b""
        while piece := client.recv(65536):
            found += piece
            if until and len(found) >= until:
                break
        return found


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:abc", "sha256:" + "A" * 64, "sha256:" + "a" * 65, "md5:" + "a" * 32, "sha256",
        "sha512:" + "a" * 64, "sha256:" + "../" * 21 + "a", ":", "sha256:%00" + "a" * 63,
    ],
)  # fmt: skip
def test_b07_a_malformed_digest_is_refused(server: Server, digest: str) -> None:
    before = files(server)
    for path in (f"blobs/{digest}", f"manifests/{digest}", f"referrers/{digest}"):
        assert ask(server.url, "GET", f"/v2/app/{path}").status in (400, 404)
    for query in (f"?digest={digest}", f"?mount={digest}&from=app"):
        reply = ask(server.url, "POST", f"/v2/app/blobs/uploads/{query}", b"x")
        assert (reply.status, code(reply)) == (400, "DIGEST_INVALID")
    assert files(server) == before


def test_b07_bytes_that_are_not_their_digest_are_not_kept(server: Server) -> None:
    before = files(server)
    digest = "sha256:" + hashlib.sha256(b"promised").hexdigest()
    reply = ask(server.url, "POST", f"/v2/app/blobs/uploads/?digest={digest}", b"promised and more")
    assert (reply.status, code(reply)) == (400, "DIGEST_INVALID")
    data = json.dumps(PLAIN).encode()
    named = "sha256:" + hashlib.sha256(data).hexdigest()
    reply = ask(server.url, "PUT", f"/v2/app/manifests/{named}", data + b" ", content_type=OCI)
    assert (reply.status, code(reply)) == (400, "DIGEST_INVALID")
    assert files(server) == before


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({**PLAIN, "manifests": []}, OCI),
        ({**PLAIN, "manifests": []}, INDEX),
        (PLAIN, INDEX),
        ({**PLAIN, "mediaType": INDEX}, OCI),
        ({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "layers": []}, INDEX),
        ({"schemaVersion": 2, "manifests": []}, OCI),
        ({**PLAIN, "fsLayers": []}, OCI),
        ({"schemaVersion": 1, "fsLayers": []}, OCI),
        (PLAIN, "text/html"),
        ({**PLAIN, "mediaType": "application/x-other"}, OCI),
    ],
)
def test_b08_a_document_with_two_meanings_is_refused(server: Server, value: Any, kind: str) -> None:
    reply = put(server, value, "ambiguous", kind)
    assert (reply.status, code(reply)) == (400, "MANIFEST_INVALID")
    assert ask(server.url, "GET", "/v2/app/manifests/ambiguous").status == 404


def test_b08_a_manifest_keeps_the_type_that_it_came_with(server: Server) -> None:
    value = {key: item for key, item in PLAIN.items() if key != "mediaType"}
    assert put(server, value, "typed").status == 201
    assert ask(server.url, "GET", "/v2/app/manifests/typed").header("Content-Type") == OCI


@pytest.mark.parametrize(
    "value",
    [
        b"", b"not JSON", b"[]", b'"text"', b"{}", b'{"schemaVersion": 2, "schemaVersion": 2}',
        b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe", json.dumps({**PLAIN, "layers": {}}).encode(),
        json.dumps({**PLAIN, "config": None}).encode(),
        json.dumps({**PLAIN, "config": {**CONFIG, "size": -1}}).encode(),
        json.dumps({**PLAIN, "config": {**CONFIG, "size": 1e300}}).encode(),
        json.dumps({**PLAIN, "layers": [{**CONFIG, "digest": "sha256:../../x"}]}).encode(),
        json.dumps({**PLAIN, "layers": [1]}).encode(),
        json.dumps({**PLAIN, "subject": {"digest": 5}}).encode(),
        json.dumps({**PLAIN, "annotations": {"a": 1}}).encode(),
        json.dumps({**PLAIN, "artifactType": 7}).encode(),
        b'{"schemaVersion": 2, "a": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_b09_a_malformed_manifest_is_refused(server: Server, value: bytes) -> None:
    reply = put(server, value, "malformed")
    assert (reply.status, code(reply)) == (400, "MANIFEST_INVALID")
    assert ask(server.url, "GET", "/v2/app/manifests/malformed").status == 404


def test_b09_an_index_of_very_many_is_answered(server: Server) -> None:
    """Ten thousand entries that are not here: one clear error."""
    entries = [{**CONFIG, "digest": f"sha256:{number:064x}"} for number in range(10_000)]
    reply = put(server, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, "x", INDEX)
    assert (reply.status, code(reply)) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_b09_indexes_in_indexes_end_with_their_bytes(server: Server) -> None:
    """A thousand deep: each is pushed on its own, nothing recurses."""
    inner = json.dumps(PLAIN).encode()
    put(server, inner, "deep")
    kind = OCI
    for _ in range(200):
        digest = "sha256:" + hashlib.sha256(inner).hexdigest()
        entry = {"mediaType": kind, "size": len(inner), "digest": digest}
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        inner, kind = json.dumps(value).encode(), INDEX
        assert put(server, inner, "deep", INDEX).status == 201
    assert ask(server.url, "GET", "/v2/app/manifests/deep").body == inner


def test_b10_more_than_four_megabytes_are_not_read(server: Server) -> None:
    reply = put(server, b" " * (4 * 1024 * 1024 + 1))
    assert reply.status == 413
    assert code(reply) == "SIZE_INVALID"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://169.254.169.254/", "http://[::1]/"])
def test_c07_addresses_in_a_manifest_are_never_asked(server: Server, url: str) -> None:
    """A foreign layer may be missing; asking for it is answered from here."""
    digest = "sha256:" + hashlib.sha256(url.encode()).hexdigest()
    layer = {"mediaType": "application/x-foreign", "size": 9, "digest": digest, "urls": [url]}
    assert put(server, {**PLAIN, "layers": [layer]}, "foreign").status == 201
    reply = ask(server.url, "GET", f"/v2/app/blobs/{digest}")
    assert (reply.status, code(reply)) == (404, "BLOB_UNKNOWN")


def session(server: Server, name: str = "app") -> str:
    reply = ask(server.url, "POST", f"/v2/{name}/blobs/uploads/")
    assert reply.status == 202
    return reply.header("Location")


def test_c01_what_does_not_fit_leaves_an_upload_as_it_was(server: Server) -> None:
    location, data = session(server), b"0123456789"
    digest = "sha256:" + hashlib.sha256(data).hexdigest()

    def patch(body: bytes, span: str, method: str = "PATCH", query: str = "") -> Reply:
        return ask(server.url, method, location + query, body, content_range=span)

    assert patch(data[:5], "0-4").status == 202
    wrong = [
        (b"56789", "4-8", 416), (b"56789", "6-10", 416), (b"01234", "0-4", 416),
        (b"56789", "5-8", 416), (b"56789", "5-10", 416), (b"56789", "bytes 5-9/10", 400),
        (b"56789", "9-5", 400), (b"56789", "5-", 400), (b"56789", "-5", 400),
        (b"56789", "5-99999999999999999999", 400),
    ]  # fmt: skip
    for body, span, status in wrong:
        reply = patch(body, span)
        assert reply.status == status, span
        if status == 416:
            assert reply.header("Range") == "0-4"
    assert patch(b"5678x", "5-9", "PUT", f"?digest={digest}").status == 400
    assert patch(b"56789", "5-9", "PUT", "?digest=sha256:x").status == 400
    assert patch(b"56789", "5-9", "PUT").status == 400
    assert ask(server.url, "GET", location).header("Range") == "0-4"
    assert patch(b"56789", "5-9", "PUT", f"?digest={digest}").status == 201
    assert ask(server.url, "GET", f"/v2/app/blobs/{digest}").body == data
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        reply = ask(server.url, method, f"{location}?digest={digest}", b"")
        assert (reply.status, code(reply)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_c01_a_refused_digest_of_another_algorithm_changes_nothing(server: Server) -> None:
    path = "/v2/app/blobs/uploads/?digest-algorithm=sha512"
    location = ask(server.url, "POST", path).header("Location")
    wrong, right = hashlib.sha256(b"other").hexdigest(), hashlib.sha256(b"some").hexdigest()
    assert ask(server.url, "PATCH", location, b"some").status == 202
    assert ask(server.url, "PUT", f"{location}?digest=sha256:{wrong}").status == 400
    assert ask(server.url, "PUT", f"{location}?digest=sha256:{right}").status == 201


def test_c01_an_upload_belongs_to_its_repository(server: Server) -> None:
    foreign = session(server).replace("/v2/app/", "/v2/other/")
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert ask(server.url, method, foreign, b"").status == 404
    for made_up in ("../../x", "x" * 300, "00000000-0000-0000-0000-000000000000", ".json"):
        assert ask(server.url, "GET", f"/v2/app/blobs/uploads/{made_up}").status in (400, 404)


@pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/app/tags/list"])
def test_c03_pages_are_bounded(server: Server, path: str) -> None:
    put(server, PLAIN)
    for number in ("-1", "x", "1e3", "", "9" * 30, "٣", "1 "):
        reply = ask(server.url, "GET", f"{path}?n={quoted(number)}")
        assert (reply.status, code(reply)) == (400, "PAGINATION_NUMBER_INVALID"), number
    key = "repositories" if "catalog" in path else "tags"
    assert json.loads(ask(server.url, "GET", f"{path}?n=0").body)[key] == []
    assert json.loads(ask(server.url, "GET", f"{path}?n=1000000000000").body)[key]
    for last in ("%00", "%ff%fe", "../..", "%F0%9F%98%80", "x" * 5000):
        assert ask(server.url, "GET", f"{path}?n=5&last={last}").status == 200


def quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def test_c04_a_manifest_without_end_is_cut_off(server: Server) -> None:
    """A gigabyte is announced; or nothing is, and it does not end."""
    head = b"PUT /v2/app/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: " + OCI.encode()
    told = raw(server, head + b"\r\nContent-Length: 1073741824\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in told

    def endless() -> Iterator[bytes]:
        for _ in range(80):
            yield b" " * 65536

    with contextlib.suppress(OSError):  # it may be cut off before its answer is read
        reply = ask(server.url, "PUT", "/v2/app/manifests/x", endless(), content_type=OCI)
        assert reply.status == 413
    assert ask(server.url, "GET", "/v2/app/manifests/x").status == 404


def test_c04_a_blob_over_the_limit_is_refused_as_it_comes(server: Server) -> None:
    location = session(server)
    reply = ask(server.url, "PATCH", location, bytes(8 * 1024 * 1024 + 1))
    assert (reply.status, code(reply)) == (413, "SIZE_INVALID")

    def endless() -> Iterator[bytes]:
        for _ in range(160):
            yield bytes(65536)

    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        assert ask(server.url, "PATCH", location, endless()).status == 413
    told = ask(server.url, "GET", location)
    assert (told.status, told.header("Range")) == (204, "0-0")
    assert ask(server.url, "DELETE", location).status == 204


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Content-Length: 3\r\nContent-Length: 3", b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity", b"Content-Length : 3", b"Content-Length: +3",
        b"X: a\r\n b\r\nContent-Length: 3",
    ],
)  # fmt: skip
def test_c09_a_request_with_two_meanings_is_refused(server: Server, lines: bytes) -> None:
    for path in (b"/v2/app/blobs/uploads/", b"/v2/app/manifests/x"):
        method = b"POST " if path.endswith(b"/") else b"PUT "
        told = raw(server, method + path + b" HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\nabc")
        assert told.startswith(b"HTTP/1.1 400 "), told
        assert told.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/v2/../etc/passwd", (400, 404)), ("/v2/app/..%2f..%2fx/manifests/x", (400, 404)),
        ("/v2/%2e%2e/%2e%2e/blobs/" + EMPTY, (400, 404)), ("/v2//app/manifests/x", (400, 404)),
        ("/v2/app//manifests/x", (400, 404)), ("/v2/APP/manifests/x", (400,)),
        ("/v2/a%00b/manifests/x", (400,)), ("/v2/app/manifests/a%2525", (404,)),
        ("/v2/_app/manifests/x", (400,)), ("/v2/app_/manifests/x", (400,)),
        ("/v2/app/_tags/manifests/x", (400,)), ("/v2/app/manifests/.x", (404,)),
        ("/v2/app/manifests/" + "x" * 129, (404,)), ("/v2/" + "a" * 256 + "/manifests/x", (400,)),
        ("/v2/" + "a/" * 200 + "a/manifests/x", (400,)), ("/v2/app/manifests/%ff", (400,)),
        ("/v2/" + "x" * 70_000 + "/tags/list", (414, 431)), ("/v3/", (404,)), ("/x", (404,)),
    ],
)  # fmt: skip
def test_c10_paths_outside_the_grammar_are_refused(
    server: Server, path: str, statuses: tuple[int, ...]
) -> None:
    before = files(server)
    reply = ask(server.url, "GET", path)
    assert reply.status in statuses
    assert json.loads(reply.body)["errors"]
    assert files(server) == before


def test_c10_headers_are_bounded(server: Server) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
    assert raw(server, b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + many).startswith(b"HTTP/1.1 431 ")
    long = b"X: " + b"y" * 1_100_000 + b"\r\n\r\n"
    assert raw(server, b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + long).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PUT", "PATCH"])
def test_other_methods_are_405(server: Server, method: str) -> None:
    reply = ask(server.url, method, "/v2/app/tags/list")
    assert (reply.status, code(reply)) == (405, "UNSUPPORTED")
    assert reply.header("Allow") == "GET, HEAD"


def test_c08_idle_connections_do_not_stop_others(server: Server) -> None:
    """Hundreds that send half of a head; one that asks is answered at once."""
    parts = urlsplit(server.url)
    held = []
    try:
        for _ in range(500):
            held.append(socket.create_connection((parts.hostname or "", parts.port or 0), 10))
            held[-1].sendall(b"GET /v2/ HTTP/1.1\r\nHost:")
        assert ask(server.url, "GET", "/v2/").status == 200
    finally:
        for client in held:
            client.close()


def test_c08_one_address_has_a_share_of_the_connections(server: Server) -> None:
    parts = urlsplit(server.url)
    held = []
    try:
        refused = 0
        for _ in range(1100):
            held.append(socket.create_connection((parts.hostname or "", parts.port or 0), 10))
            held[-1].settimeout(10)
        for client in held[-10:]:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                refused += client.recv(10) == b""
            except ConnectionResetError:
                refused += 1
        assert refused == 10
    finally:
        for client in held:
            client.close()
    assert server.process.poll() is None
    assert Path(server.log).read_text().count("Traceback") == 0

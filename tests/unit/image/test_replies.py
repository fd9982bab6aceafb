"""What a hostile registry may answer: nothing is guessed at, and nothing is without end (C06-C10).

RFC 9112, sections 2.2, 5, 6 and 7, and RFC 9110, section 10.2.3 say what is wrong with each.
"""

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard.base.aio import now
from dockyard.base.errors import DockyardError
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import digest_of
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.image import ContentMismatch, RegistryDenied, RegistryUnavailable
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.registry.reply import Doubtful, Reply, Source
from dockyard.node.image.registry.transport import Request, Transport, wait_for
from dockyard.node.image.store import ImageStore
from helpers.scripted_http import Asked, serve
from helpers.scripted_http import Reply as Said

OK = b"HTTP/1.1 200 OK\r\n"
LOGIN = Credentials("me", "s3cret")


def reply_of(data: bytes, method: str = "GET") -> Reply:
    """As if a connection brought these bytes, one recv after the other, and ended."""
    waiting = memoryview(data)

    def receive(room: memoryview) -> int:
        nonlocal waiting
        piece = waiting[: min(len(room), 7)]
        room[: len(piece)] = piece
        waiting = waiting[len(piece) :]
        return len(piece)

    return Reply(Source(receive), method)


def body_of(reply: Reply) -> bytes:
    return b"".join(iter(reply.read, b""))


@pytest.mark.parametrize(
    ("data", "body", "keep"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabcHTTP/1.1 200", b"abc", True),
        (OK + b"content-length:3 \r\nConnection: Close\r\n\r\nabc", b"abc", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc", False),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (OK + b"\r\nall until the end", b"all until the end", False),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nT: x\r\n"
         b"\r\n", b"abc0123456789", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK
         + b"Content-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.1 204 No Content\r\n\r\nrubbish", b"", True),
    ],
)  # fmt: skip
def test_answers_that_are_plain(data: bytes, body: bytes, keep: bool) -> None:
    reply = reply_of(data)
    assert body_of(reply) == body
    assert (reply.whole, reply.keep) == (True, keep)


def test_an_answer_to_head_has_no_body() -> None:
    reply = reply_of(OK + b"Content-Length: 7\r\n\r\n", "HEAD")
    assert (reply.whole, reply.headers.get("Content-Length")) == (True, "7")


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 9999999999999999999999\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length : 3\r\n",
        b"X: a\r\n folded\r\nContent-Length: 3\r\n",
        b"X: a\nContent-Length: 3\r\n",
        b"X: a\rContent-Length: 3\r\n",
        b"X: \x00\r\nContent-Length: 3\r\n",
        b"no colon\r\nContent-Length: 3\r\n",
        b": no name\r\nContent-Length: 3\r\n",
    ],
)
def test_c09_a_head_with_two_meanings_is_refused(lines: bytes) -> None:
    with pytest.raises(Doubtful):
        reply_of(OK + lines + b"\r\nabc")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1  200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", b"\r\n" + OK,
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK,
    ],
)  # fmt: skip
def test_c09_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(Doubtful):
        reply_of(data)


@pytest.mark.parametrize(
    "chunks",
    [
        b"-5\r\nhello world\r\n0\r\n\r\n", b"+3\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n",
        b"1_0\r\n" + b"x" * 16, b" 3\r\nabc\r\n0\r\n\r\n", b"\r\nabc\r\n", b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabc0\r\n\r\n", b"3\r\nabc\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nabc", b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n", b"g\r\n",
        b"0\r\nX: a\nb: c\r\n\r\n", b"0\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)  # fmt: skip
def test_c09_broken_chunks_are_refused(chunks: bytes) -> None:
    reply = reply_of(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    with pytest.raises(Doubtful):
        body_of(reply)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 9\r\n\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
)
def test_g10_bodies_that_end_too_early_say_so(data: bytes) -> None:
    with pytest.raises(ConnectionError):
        body_of(reply_of(data))


def test_c10_heads_are_bounded() -> None:
    with pytest.raises(Doubtful, match="more than 200 headers"):
        reply_of(OK + b"X: y\r\n" * 100_000 + b"\r\n")
    with pytest.raises(Doubtful, match="a line of more than"):
        reply_of(OK + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n")
    with pytest.raises(Doubtful, match="a line of more than"):
        reply_of(OK + (b"X: " + b"y" * 1000 + b"\r\n") * 100 + b"\r\n")


@contextlib.contextmanager
def saying(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that reads each request's head and then talks as it likes, until it is left."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := client.recv(4096)):
                    return
                head += piece
                if not head.startswith((b"GET", b"HEAD", b"POST")):
                    return  # TLS is not spoken here
            talk(client)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=answer, args=(client,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def client(address: str, auth: Credentials | None = None) -> RegistryClient:
    name = parse_reference(f"{address}/repo:1")
    transport = Transport(Hosts(), name.registry, pause=lambda seconds: None)
    return RegistryClient(Hosts(), name, auth, "pull", transport=transport)


def for_ever(head: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def talk(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(piece)

    return talk


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (OK + b"\r\n", b"x" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 O", b"K" * 65536),
        (OK, b"X: y\r\n" * 1000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    ],
)
def test_c04_documents_and_heads_without_end(head: bytes, piece: bytes) -> None:
    with (
        saying(for_ever(head, piece)) as address,
        client(address) as registry,
        pytest.raises((ContentMismatch, RegistryUnavailable), match=r"refused|more than"),
    ):
        registry.manifest("1")


def test_c04_a_blob_without_end(tmp_path: Path) -> None:
    """The whole pull: as soon as it can't be what was promised, it ends, and nothing stays."""
    layer, config = b"layer", json.dumps(
        {"os": "linux", "architecture": "amd64",
         "rootfs": {"type": "layers", "diff_ids": [digest_of(b"layer")]}}).encode()  # fmt: skip
    kind = "application/vnd.oci.image"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": digest_of(config),
                   "size": len(config)},
        "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": digest_of(layer),
                    "size": len(layer)}],
    }).encode()  # fmt: skip

    def talk(sock: socket.socket) -> None:
        nonlocal turn
        turn += 1
        if turn < 3:
            data = (manifest, config)[turn - 1]
            sock.sendall(OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        else:
            for_ever(OK + b"\r\n", b"x" * 65536)(sock)

    turn = 0
    store = ImageStore(tmp_path)
    with saying(talk) as address, pytest.raises(ContentMismatch, match="longer than the 5 bytes"):
        store.pull(f"{address}/repo:1")
    assert store.list() == []


def test_c09_gzip_that_nobody_asked_for() -> None:
    """A bomb of JSON: it is not unpacked."""
    bomb = gzip.compress(b"{" + b" " * (50 << 20))
    headers = (("Content-Encoding", "gzip"),)
    with (
        serve(lambda asked: Said(200, bomb, headers)) as (address, saw),
        client(address) as registry,
        pytest.raises(Doubtful, match="sent as 'gzip', unasked; refused"),
    ):
        registry.manifest("1")
    assert saw[-1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "body", [b"[" * 500_000, b'{"errors":' + b"[" * 500_000, b"1" * 500_000, b"\xff\xfe", b""]
)
def test_c09_rubbish_in_documents_and_errors(body: bytes) -> None:
    for status in (200, 404, 400):
        with (
            serve(lambda asked, status=status: Said(status, body)) as (address, _),  # type: ignore[misc]
            client(address) as registry,
            pytest.raises(DockyardError) as caught,
        ):
            registry.tags()
        assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "said",
    ["bytes 0-999/1000", "bytes 501-999/1000", "bytes */1000", "500-999/1000", "", "bytes x-y/z"],
)
def test_c09_a_range_that_was_not_asked_for(said: str) -> None:
    data = bytes(1000)
    blob = Descriptor("", digest_of(data), len(data))

    def answer(asked: Asked) -> Said:
        if "range" not in asked.headers:
            return Said(200, data, cut=500)
        return Said(206, data[500:], (("Content-Range", said),) if said else ())

    with (
        serve(answer) as (address, _),
        client(address) as registry,
        pytest.raises(RegistryUnavailable, match="bytes from 500 on were asked for"),
    ):
        list(registry.blob(blob))


@pytest.mark.parametrize("token", ["x" * 300_000, "a\r\nX: y", "a b\x00", "\u2603", 7, None, ["x"]])
def test_c09_tokens_that_are_none(token: object) -> None:
    """Too long for a header, or with more in them than a token."""

    def answer(asked: Asked) -> Said:
        if asked.path.startswith("/token"):
            return Said(200, json.dumps({"token": token}).encode())
        challenge = f'Bearer realm="http://{asked.headers["host"]}/token",service="x"'
        return Said(401, headers=(("WWW-Authenticate", challenge),))

    with serve(answer) as (address, saw), client(address, LOGIN) as registry:
        with pytest.raises((RegistryDenied, RegistryUnavailable)) as caught:
            registry.manifest("1")
        assert len(str(caught.value)) < 500
    assert all("authorization" not in asked.headers for asked in saw if "/v2/" in asked.path)


@pytest.mark.parametrize(
    "where",
    ["http://[::1", "http://x:99999/", "//\u2603/", "http://x/\u2603", "file:///etc/passwd"],
)
def test_c06_addresses_that_are_none(where: str) -> None:
    location = (("Location", where.encode().decode("latin-1")),)
    for status in (307, 202):
        with (
            serve(lambda asked, status=status: Said(status, headers=location)) as (address, _),  # type: ignore[misc]
            client(address) as registry,
            pytest.raises(DockyardError) as caught,
        ):
            if status == 202:
                registry.upload(Descriptor("", digest_of(b"x"), 1), lambda: [b"x"])
            else:
                registry.manifest("1")
        assert type(caught.value) is not DockyardError or "refused" in str(caught.value)


def dialled(registry: str) -> Callable[[tuple[str, int], float], socket.socket]:
    """A network in which one name is a machine elsewhere, and all others are as they are."""

    def dial(where: tuple[str, int], seconds: float) -> socket.socket:
        if where[0] != "registry.example":
            return socket.create_connection(where, seconds)
        ours, theirs = socket.socketpair()
        threading.Thread(target=_splice, args=(theirs, registry)).start()
        return ours

    return dial


def _splice(near: socket.socket, server: str) -> None:
    host, _, port = server.rpartition(":")
    with near, contextlib.suppress(OSError), socket.create_connection((host, int(port))) as far:

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := far.recv(65536):
                    near.sendall(data)
                near.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=back)
        thread.start()
        while data := near.recv(65536):
            far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("how", ["redirect", "realm"])
def test_c06_a_registry_elsewhere_does_not_lead_into_this_machine(host: str, how: str) -> None:
    """Asked of the address that was connected to, whatever name led there (C07)."""
    with serve(lambda asked: Said(200, b"{}")) as (inside, inside_saw):
        target = f"http://{host}:{inside.rpartition(':')[2]}/latest/meta-data"

        def answer(asked: Asked) -> Said:
            if how == "redirect":
                return Said(307, headers=(("Location", target),))
            return Said(401, headers=(("WWW-Authenticate", f'Bearer realm="{target}"'),))

        with serve(answer) as (registry, _):
            name = parse_reference("registry.example/repo:1")
            hosts = Hosts(insecure=frozenset({"registry.example"}))
            transport = Transport(
                hosts, name.registry, pause=lambda seconds: None, dial=dialled(registry)
            )
            with (
                RegistryClient(hosts, name, LOGIN, "pull", transport=transport) as mine,
                pytest.raises(RegistryDenied, match="refused"),
            ):
                mine.manifest("1")
        assert inside_saw == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), (" 30 ", 30.0), ("", 0.25), (None, 0.25), ("soon", 0.25),
        ("-5", 0.25), ("1.5", 0.25), ("Wed, 32 Foo 2026 00:00:00 GMT", 0.25),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
    ],
)  # fmt: skip
def test_g10_how_long_a_server_asks_to_be_left_alone(said: str | None, seconds: float) -> None:
    assert wait_for(0, said) == seconds


def test_g10_until_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(now, "wall", lambda: 784111777.0 - 40)  # RFC 9110's own example
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"):
        assert wait_for(0, text) == 40.0


def test_g10_who_asks_for_an_hour_is_told_of() -> None:
    headers = (("Retry-After", "3600"),)
    waited: list[float] = []
    with serve(lambda asked: Said(429, headers=headers)) as (address, saw):
        name = parse_reference(f"{address}/repo:1")
        transport = Transport(Hosts(), name.registry, pause=waited.append)
        with (
            RegistryClient(Hosts(), name, None, "pull", transport=transport) as registry,
            pytest.raises(RegistryUnavailable, match=r"429 .*alone for '3600'"),
        ):
            registry.manifest("1")
    assert (len(saw), waited) == (1, [])


def test_g10_a_busy_registry_gets_a_push_later() -> None:
    """429 with Retry-After and 503 on the way: the session is asked, and goes on where it is."""
    data = bytes(1000)
    blob = Descriptor("", digest_of(data), len(data))
    trouble = iter([Said(429, headers=(("Retry-After", "3"),)), Said(503), None])
    waited: list[float] = []

    def answer(asked: Asked) -> Said:
        if asked.method == "POST":
            return Said(202, headers=(("Location", "/v2/repo/blobs/uploads/1"),))
        if asked.method == "GET":
            return Said(204, headers=(("Range", "0-0"),))
        if asked.method == "PATCH":
            assert asked.headers["content-range"] == "0-999"
            return next(trouble) or Said(202, headers=(("Location", "/v2/repo/blobs/uploads/1"),))
        return Said(201) if "content-range" in asked.headers or not asked.body else next(trouble)  # type: ignore[return-value]

    with serve(answer) as (address, saw):
        name = parse_reference(f"{address}/repo:1")
        transport = Transport(Hosts(), name.registry, pause=waited.append)
        with RegistryClient(Hosts(), name, None, "push", transport=transport) as registry:
            registry.upload(blob, lambda: [data])
    assert [asked.method for asked in saw] == ["POST", "PUT", "GET", "PATCH", "GET", "PATCH", "PUT"]
    assert 3.0 in waited


def test_c09_a_word_on_an_idle_connection_is_nobodys_answer() -> None:
    """What comes unasked behind an answer does not become the next one's."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    turns = iter([OK + b"Content-Length: 4\r\n\r\ngood" + smuggled, OK + b"Content-Length: 4\r\n"
                  b"Connection: close\r\n\r\nalso"])  # fmt: skip
    with saying(lambda sock: sock.sendall(next(turns))) as address:
        transport = Transport(Hosts(), address)
        found = []
        for _ in range(2):
            with transport.send(Request("GET", f"http://{address}/", {})) as answer:
                found.append(answer.read(100))
        transport.close()
    assert found == [b"good", b"also"]


def test_c10_a_header_of_blanks_takes_no_longer_than_others() -> None:
    """Sixty thousand blanks before a byte that belongs in no header: once a quarter of a minute."""
    with pytest.raises(Doubtful, match="broken header"):
        reply_of(OK + b"X: a" + b" " * 60_000 + b"\x01\r\n\r\n")
    reply = reply_of(OK + b"X: \t a" + b" " * 60_000 + b"b \t\r\nContent-Length: 0\r\n\r\n")
    assert reply.headers.get("x") == "a" + " " * 60_000 + "b"


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
def test_a_host_that_no_name_server_can_be_asked_for(host: str) -> None:
    """RFC 1035, section 2.3.4: labels have 1 to 63 octets."""
    transport = Transport(Hosts(), "registry.example")
    with pytest.raises(RegistryUnavailable, match="no host's name"):
        transport.send(Request("GET", f"https://{host}/v2/", {}))

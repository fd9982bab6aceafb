"""Heads of requests and answers, written anew."""

from __future__ import annotations

import pytest

from dockyard.base.wire.http import Request
from dockyard.cluster.ingress.heads import (
    Bad,
    Client,
    Framing,
    Pairs,
    answer_lines,
    framing,
    request_head,
    split_target,
)

CLIENT = Client("192.0.2.1", "shop.example.org", tls=False)


def request(*headers: tuple[bytes, bytes], method: str = "GET", target: bytes = b"/") -> Request:
    made = Request()
    made.method, made.target, made.headers = method, target, list(headers)
    return made


def lines(made: Request, *, keep: bool = True) -> list[str]:
    return request_head(made, "/a?b", CLIENT, keep=keep).decode().split("\r\n")


def test_a_request_says_who_asked() -> None:
    spoofed = [(b"host", b"x"), (b"accept", b"*/*"), (b"x-forwarded-for", b"203.0.113.9"),
               (b"x_forwarded_for", b"203.0.113.9"), (b"forwarded", b"for=x")]  # fmt: skip
    assert lines(request(*spoofed)) == [
        "GET /a?b HTTP/1.1",
        "Host: shop.example.org",
        "accept: */*",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: shop.example.org",
        "",
        "",
    ]


def test_c09_lengths_and_headers_of_a_connection_do_not_go_through() -> None:
    made = request(
        (b"connection", b"keep-alive, X-Secret"), (b"x-secret", b"1"), (b"keep-alive", b"1"),
        (b"te", b"trailers"), (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"),
        (b"content_length", b"7"), method="POST",
    )  # fmt: skip
    made.body = b"four"
    found = [line.lower() for line in lines(made, keep=False)]
    assert "content-length: 4" in found
    assert "connection: close" in found
    for name in ("x-secret", "keep-alive", "te:", "transfer-encoding", "upgrade", "content_length"):
        assert not [line for line in found if line.startswith(name)]


def test_an_upgrade_to_websocket_goes_through() -> None:
    made = request((b"upgrade", b"WebSocket"), (b"sec-websocket-key", b"a2V5"))
    made.upgrade = True
    assert {"Connection: Upgrade", "Upgrade: websocket", "sec-websocket-key: a2V5"} < set(
        lines(made)
    )


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        (b"/a?b=/c", b"x.org:80", ("x.org:80", "/a?b=/c")),
        (b"http://y.org/a", b"x.org", ("y.org", "/a")),
        (b"http://y.org", b"x.org", ("y.org", "/")),
        (b"/", b"[fd00::1]:80", ("[fd00::1]:80", "/")),
        (b"/", b"", ("", "/")),
    ],
)
def test_targets(target: bytes, host: bytes, expected: tuple[str, str]) -> None:
    assert split_target(request((b"host", host), target=target)) == expected


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"*", b"x"), (b"x.org:443", b"x"), (b"/", b"a b"), (b"/", b"x/../y"), (b"/", b"a@b"),
     (b"http://u:p@y.org/", b"x"), (b"ftp://y.org/", b"x")],
)  # fmt: skip
def test_c09_broken_targets_are_refused(target: bytes, host: bytes) -> None:
    with pytest.raises(ValueError, match="broken"):
        split_target(request((b"host", host), target=target))


@pytest.mark.parametrize(
    ("method", "status", "headers", "expected"),
    [
        ("GET", 200, [("content-length", "5")], Framing(5, False, True)),
        ("GET", 200, [("transfer-encoding", "Chunked")], Framing(None, True, True)),
        ("GET", 200, [], Framing(None, False, False)),
        ("GET", 200, [("content-length", "5"), ("connection", "Close")], Framing(5, False, False)),
        ("HEAD", 200, [("content-length", "5")], Framing(5, False, True)),
        ("GET", 204, [], Framing(None, False, True)),
        ("GET", 304, [("content-length", "5")], Framing(5, False, True)),
    ],
)
def test_where_an_answer_ends(method: str, status: int, headers: Pairs, expected: Framing) -> None:
    assert framing(method, status, headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        [("content-length", "5"), ("content-length", "5")],
        [("content-length", "5"), ("transfer-encoding", "chunked")],
        [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        [("transfer-encoding", "gzip, chunked")],
        [("content-length", "5, 5")],
        [("content-length", "-1")],
        [("content-length", "+5")],
        [("content-length", "\xb2")],
        [(" folded", "x")],
        [("a b", "x")],
        [("", "x")],
        [("x", "a\nset-cookie: b")],
        [("x", "a\0")],
    ],
)
def test_c09_answers_in_doubt_are_refused(headers: Pairs) -> None:
    with pytest.raises(Bad):
        framing("GET", 200, headers)


def test_an_answer_keeps_its_own_headers() -> None:
    headers = [("set-cookie", "a"), ("set-cookie", "b"), ("connection", "x-hop"), ("x-hop", "1"),
               ("content-length", "5"), ("keep-alive", "5")]  # fmt: skip
    assert answer_lines(headers) == b"set-cookie: a\r\nset-cookie: b\r\n"

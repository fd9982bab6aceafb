"""The bytes of SOCKS 5, as RFC 1928 and RFC 1929 draw them, and what proxies answer."""

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.image.image import RegistryUnavailable
from dockyard.node.image.registry.reach import Proxy
from dockyard.node.image.registry.socks import ask_for

PROXY = Proxy("proxy", 1080, {}, socks=True)
WITH_LOGIN = PROXY._replace(login=("me", "pass"))
GRANTED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


class Scripted:
    """Gives what the proxy sends, a byte at a time."""

    def __init__(self, answers: bytes) -> None:
        self.answers, self.sent = answers, b""

    def recv_into(self, buffer: memoryview, /) -> int:
        piece, self.answers = self.answers[:1], self.answers[1:]
        buffer[: len(piece)] = piece
        return len(piece)

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int:
        return -1


@pytest.mark.parametrize(
    ("host", "address"),
    [("example.com", b"\x03\x0bexample.com"), ("10.1.2.3", b"\x01\x0a\x01\x02\x03"),
     ("fd00::1", b"\x04\xfd" + bytes(14) + b"\x01")],
)  # fmt: skip
def test_a_host_is_asked_for(host: str, address: bytes) -> None:
    line = Scripted(b"\x05\x00" + GRANTED + b"theirs")
    ask_for(line, host, 443, PROXY)
    assert line.sent == b"\x05\x01\x00" + b"\x05\x01\x00" + address + b"\x01\xbb"
    assert line.answers == b"theirs"  # not one byte more is taken


def test_a_login() -> None:
    line = Scripted(b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x03\x02abxx")
    ask_for(line, "h", 80, WITH_LOGIN)
    assert (
        line.sent == b"\x05\x02\x00\x02" + b"\x01\x02me\x04pass" + b"\x05\x01\x00\x03\x01h\x00\x50"
    )
    assert line.answers == b""


@pytest.mark.parametrize(
    ("proxy", "answers", "words"),
    [
        (PROXY, b"HTTP/1.1 400", "speaks no SOCKS 5"),
        (PROXY, b"\x05\xff", "it wants USER:PASSWORD in its URL"),
        (PROXY, b"\x05\x02", "it wants USER:PASSWORD in its URL"),
        (WITH_LOGIN, b"\x05\xff", "takes no login of ours$"),
        (WITH_LOGIN, b"\x05\x02\x01\x01", "does not take this USER:PASSWORD"),
        (PROXY, b"\x05\x00\x05\x05\x00\x01", "h:80: connection refused"),
        (PROXY, b"\x05\x00\x05\x63\x00\x01", "h:80: answer 99"),
        (PROXY, b"\x05", "hangs up"),
    ],
)
def test_refusals(proxy: Proxy, answers: bytes, words: str) -> None:
    with pytest.raises(RegistryUnavailable, match=words) as caught:
        ask_for(Scripted(answers), "h", 80, proxy)
    assert "pass" not in str(caught.value)


def test_what_no_proxy_can_be_told() -> None:
    with pytest.raises(Invalid, match="300 bytes: 1 to 255 are possible"):
        ask_for(Scripted(b"\x05\x00"), "h" * 300, 80, PROXY)

"""Turns one request into bytes on a connection, and waits for its answer (RFC 9112)."""

import contextlib
import re
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from dockyard.base.aio import now
from dockyard.base.errors import DockyardError
from dockyard.node.image.image import RegistryUnavailable
from dockyard.node.image.registry.reply import CutOff, Reply, Source

HEAD_SECONDS = 120.0
"""For an answer's head, however slowly it drips."""
_LAST_WORDS_SECONDS = 5.0
_TARGET = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class BodyFailed(DockyardError):
    """The connection is well; what should go through it is not."""


class Line(Protocol):
    """What a socket, a TLS connection and one within another have in common."""

    def recv_into(self, buffer: memoryview, /) -> int: ...
    def sendall(self, data: bytes, /) -> None: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...


class Channel:
    """One connection; one request at a time."""

    def __init__(
        self, line: Line, seconds: float, clock: Callable[[], float] = now.monotonic
    ) -> None:
        """``seconds``: how long may pass without a byte."""
        self._line, self._seconds, self._clock = line, seconds, clock
        self._deadline = float("inf")
        self._source = Source(self._receive)
        line.settimeout(seconds)

    def ask(
        self, method: str, target: str, headers: dict[str, str],
        body: Iterable[bytes] | None = None, length: int = 0,
    ) -> Reply:  # fmt: skip
        """The answer's head. ``length`` -1: sent in chunks. ``OSError`` where there is none."""
        head = _request_head(method, target, headers)
        try:
            self._send(head, body, length)
        except OSError as error:
            return self._last_words(method, error)
        return self._answer(method)

    @property
    def quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, nor the other's end: it may be used."""
        if not self._source.empty:
            return False
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.close()

    def _send(self, head: bytes, body: Iterable[bytes] | None, length: int) -> None:
        """The head goes with the first piece of the body: one packet for what is small."""
        waiting, sent = head, 0
        pieces = iter(body or ())
        while (piece := _next(pieces)) is not None:
            if not piece:
                continue
            if sent and self._spoken():
                raise ConnectionAbortedError("it answers before it has heard all")
            sent += len(piece)
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if length < 0 else piece
            self._line.sendall(waiting + framed if waiting else framed)
            waiting = b""
        if body is not None and length < 0:
            waiting += b"0\r\n\r\n"
        elif sent != max(length, 0):
            raise ValueError(f"a body of {sent} bytes where {length} were announced")
        if waiting:
            self._line.sendall(waiting)

    def _spoken(self) -> bool:
        """Whether the other side says something already: it wants no more. Within TLS nobody can
        tell: what has come may be TLS's own."""
        return isinstance(self._line, socket.socket) and not (
            isinstance(self._line, ssl.SSLSocket) or self.quiet
        )

    def _answer(self, method: str) -> Reply:
        self._deadline = self._clock() + HEAD_SECONDS
        try:
            return Reply(self._source, method)
        finally:
            self._deadline = float("inf")

    def _last_words(self, method: str, error: OSError) -> Reply:
        """Who hangs up on a body may have said why before."""
        try:
            self._line.settimeout(_LAST_WORDS_SECONDS)
            found = self._answer(method)
        except (OSError, RegistryUnavailable):
            raise error from None
        found.keep = False
        if found.status < 400:
            raise error
        return found

    def _receive(self, view: memoryview) -> int:
        if self._clock() > self._deadline:
            raise TimeoutError(f"no whole answer within {HEAD_SECONDS:.0f} s")
        try:
            return self._line.recv_into(view)
        except ssl.SSLEOFError:
            raise CutOff("the connection ended without TLS's farewell") from None


def _next(pieces: Iterator[bytes]) -> bytes | None:
    try:
        return next(pieces, None)
    except OSError as error:
        raise BodyFailed(f"what is to be sent cannot be read: {error}") from error


def _request_head(method: str, target: str, headers: dict[str, str]) -> bytes:
    if _TARGET.fullmatch(target) is None:
        raise RegistryUnavailable(f"{target[:200]!r} is no address; refused")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers.items():
        if _VALUE.fullmatch(value) is None:
            raise RegistryUnavailable(f"{name}: a value that no header can have; refused")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")

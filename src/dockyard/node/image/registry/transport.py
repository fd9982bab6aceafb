"""Turns one HTTP request into its answer: connections kept, redirects followed, tries repeated.

One :class:`Transport` a registry. Credentials go only to the origin they were made for: a redirect
elsewhere is followed without them, and never from https to http (C06).
"""

import http
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

from dockyard.base.aio import now
from dockyard.base.errors import DockyardError
from dockyard.node.image.image import ContentMismatch, RegistryUnavailable
from dockyard.node.image.registry.channel import Channel
from dockyard.node.image.registry.dial import Dial, Dialler, joined, origin, words_of
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.reply import Doubtful, Headers, Reply

_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_TRIES = 5
BUSY = (429, 500, 502, 503, 504)
"""Answers after which the same request may go better."""
_FINAL = (ssl.SSLCertVerificationError, ConnectionRefusedError, socket.gaierror)
"""Trying again at once does not help: who called knows when to."""
LONGEST_WAIT = 120.0
"""Who asks for more patience is told of instead."""
_DOCUMENT_SECONDS = 300.0
"""For a whole document, however slowly it drips."""
_ERROR_BODY = 1 << 20
_AGENT = "dockyard"

Body = Callable[[], Iterable[bytes]]


class Request(NamedTuple):
    """``body`` can be asked for again: a retry sends it anew, unless it goes only ``once``.
    ``length`` in bytes, -1 where it is not known."""

    method: str
    url: str
    headers: dict[str, str]
    body: Body | None = None
    length: int = 0
    once: bool = False


class BrokenOff(RegistryUnavailable):
    """A document that ended before its end; another try may bring the whole."""


class Answer:
    """A response; leave its block and the connection is ready for the next."""

    def __init__(self, url: str, reply: Reply, done: Callable[[bool], None]) -> None:
        self.url = url
        self.status = reply.status
        self.headers: Headers = reply.headers
        self._reply = reply
        self._done = done

    def __enter__(self) -> "Answer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done(self._reply.whole and self._reply.keep)

    def read(self, limit: int) -> bytes:
        """The whole body; more than ``limit`` bytes are refused while reading (C04), and so is
        what is packed though nobody asked for that: there are bombs in it."""
        if (coding := self.headers.get("Content-Encoding", "identity")) not in ("identity", ""):
            raise Doubtful(f"registry: {self.url}: sent as {coding!r}, unasked; refused")
        pieces: list[bytes] = []
        left, deadline = limit, now.monotonic() + _DOCUMENT_SECONDS
        try:
            while left >= 0 and (piece := self._piece(left + 1)):
                pieces.append(piece)
                left -= len(piece)
                if now.monotonic() > deadline:
                    raise TimeoutError(f"not whole after {_DOCUMENT_SECONDS:.0f} s")
        except OSError as error:
            raise BrokenOff(f"registry: {self.url}: {words_of(error)}") from error
        if left < 0:
            raise ContentMismatch(f"registry: {self.url}: more than {limit} bytes; refused")
        return b"".join(pieces)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes; ``OSError`` where it breaks off."""
        while chunk := self._piece():
            yield chunk

    def _piece(self, most: int | None = None) -> bytes:
        try:
            return self._reply.read() if most is None else self._reply.read(most)
        except Doubtful as error:
            raise Doubtful(f"registry: {self.url}: {error}") from error


class Transport:
    """Connections to one registry and to where it sends us."""

    def __init__(
        self,
        hosts: Hosts,
        registry: str,
        *,
        pause: Callable[[float], object] = now.pause,
        dial: Dial = socket.create_connection,
    ) -> None:
        """``pause`` waits some seconds; ``dial`` connects to ``(host, port)``."""
        self.registry = registry
        self.pause = pause
        self._dialler = Dialler(hosts, registry, dial)
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str, int], list[Channel]] = {}
        self._busy: set[Channel] = set()
        self._base: str | None = None

    @property
    def base(self) -> str:
        """``https://host:port``: found out by the first use where plain HTTP is allowed."""
        with self._lock:
            if self._base is None:
                self._base = self._dialler.base()
            return self._base

    def close(self) -> None:
        """Every connection, also one whose answer nobody reads to its end."""
        with self._lock:
            for channel in (*self._busy, *(one for idle in self._idle.values() for one in idle)):
                channel.close()
            self._idle.clear()
            self._busy.clear()

    def send(self, request: Request) -> Answer:
        """The answer, after redirects and retries; any status.

        Raises :class:`RegistryUnavailable` where none comes.
        """
        for attempt in range(_TRIES):
            last = request.once or attempt == _TRIES - 1
            try:
                answer = self._follow(request)
            except OSError as error:
                if last or isinstance(error, _FINAL):
                    raise self._unavailable(request.url, error) from error
                self.pause(wait_for(attempt, None))
                continue
            seconds = wait_for(attempt, answer.headers.get("Retry-After"))
            if answer.status not in BUSY or last or seconds > LONGEST_WAIT:
                return answer
            answer.__exit__(None, None, None)
            self.pause(seconds)
        raise AssertionError("the last attempt returns or raises")

    def _follow(self, request: Request) -> Answer:
        url, headers = request.url, request.headers
        for _ in range(_REDIRECTS + 1):
            answer = self._once(request._replace(url=url, headers=headers))
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTED or target is None or request.body is not None:
                return answer
            answer.__exit__(None, None, None)
            try:
                following = joined(url, target)
            except ValueError as error:
                raise RegistryUnavailable(
                    f"registry: {url}: redirects to {target[:500]!r}: {error}; refused"
                ) from error
            if origin(following) != origin(url):
                headers = {key: value for key, value in headers.items() if key != "Authorization"}
            url = following
        raise RegistryUnavailable(f"registry: {request.url}: more than {_REDIRECTS} redirects")

    def _once(self, request: Request) -> Answer:
        parts = urlsplit(request.url)
        key = origin(request.url)
        channel = self._reused(key)
        fresh = channel is None
        channel = channel or self._dialler.connect(parts)
        target, more = self._dialler.target(parts)
        headers = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": _AGENT,
                   "Accept-Encoding": "identity", **more, **request.headers}  # fmt: skip
        if request.body is not None:
            if request.length >= 0:
                headers["Content-Length"] = str(request.length)
            else:
                headers["Transfer-Encoding"] = "chunked"
        try:
            body = request.body() if request.body is not None else None
            reply = channel.ask(request.method, target, headers, body, request.length)
        except OSError:
            channel.close()
            if not fresh and not (request.once and request.length):
                self._forget(key)  # the server may have closed it while it was idle
                return self._once(request)
            raise
        except RegistryUnavailable as error:
            channel.close()
            raise type(error)(f"registry: {self.registry}: {request.url}: {error}") from error
        except BaseException:
            channel.close()
            raise

        with self._lock:
            self._busy.add(channel)

        def done(usable: bool) -> None:
            with self._lock:
                if channel in self._busy:
                    self._busy.remove(channel)
                    if usable and channel.quiet:
                        self._idle.setdefault(key, []).append(channel)
                        return
            channel.close()

        return Answer(request.url, reply, done)

    def _reused(self, key: tuple[str, str, int]) -> Channel | None:
        """A connection that was kept, and that nobody has spoken on or closed meanwhile."""
        while True:
            with self._lock:
                idle = self._idle.get(key)
                channel = idle.pop() if idle else None
            if channel is None or channel.quiet:
                return channel
            channel.close()

    def _forget(self, key: tuple[str, str, int]) -> None:
        with self._lock:
            for channel in self._idle.pop(key, []):
                channel.close()

    def _unavailable(self, where: str, error: Exception) -> RegistryUnavailable:
        return RegistryUnavailable(f"registry: {self.registry}: {where}: {words_of(error)}")


def reason(answer: Answer) -> str:
    """The registry's own words (distribution-spec, "Error Codes"), else the status' name."""
    try:
        errors = json.loads(answer.read(_ERROR_BODY))["errors"]
        said = ", ".join(f"{item['code']}: {item.get('message', '')}" for item in errors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DockyardError):
        said = ""
    shown = "".join(char if char.isprintable() else " " for char in said[:500])
    try:
        return shown or http.HTTPStatus(answer.status).phrase
    except ValueError:
        return "no reason given"


def wait_for(attempt: int, retry_after: str | None) -> float:
    """Seconds: what the server asks for, as a number or a date (RFC 9110, section 10.2.3), else
    0.25, 0.5, 1, ..."""
    word = (retry_after or "").strip()
    if word.isascii() and word.isdigit():
        return float(word[:12])
    if word:
        from email.utils import parsedate_to_datetime

        try:
            return max(parsedate_to_datetime(word).timestamp() - now.wall(), 0.0)
        except (ValueError, TypeError, OverflowError):
            pass  # neither: our own pace
    return float(0.25 * (1 << attempt))

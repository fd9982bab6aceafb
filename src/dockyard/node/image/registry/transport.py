"""Turns one HTTP request into its answer: connections, TLS, redirects, retries.

One :class:`Transport` a registry. Credentials go only to the origin they were made for: a redirect
elsewhere is followed without them, and never from https to http (C06).
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from dockyard.base.aio import now
from dockyard.base.oci.reference import DEFAULT_REGISTRY
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.image import ContentMismatch, RegistryUnavailable
from dockyard.node.image.registry.challenge import is_loopback
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.reach import Proxy, proxy_of, trust_of

_TIMEOUT = 60.0
_PROBE = 5.0
_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_TRIES = 5
_AGAIN = (429, 500, 502, 503, 504)
_FINAL = (ssl.SSLCertVerificationError, ConnectionRefusedError, socket.gaierror)
"""Trying again at once does not help: who called knows when to."""
_LONGEST_WAIT = 60.0
_HUB = "registry-1.docker.io"
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


class Answer:
    """A response; leave its block and the connection is ready for the next."""

    def __init__(
        self, url: str, response: http.client.HTTPResponse, done: Callable[[bool], None]
    ) -> None:
        self.url = url
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._done = done

    def __enter__(self) -> "Answer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._response.length == 0:
            self._response.read()  # nothing is left (an answer to HEAD): that ends it
        self._done(self._response.isclosed())

    def read(self, limit: int) -> bytes:
        """The whole body; more than ``limit`` bytes are refused while reading (C04)."""
        data = self._response.read(limit + 1)
        if len(data) > limit:
            raise ContentMismatch(f"registry: {self.url}: more than {limit} bytes; refused")
        return data

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._response.read(CHUNK):
            yield chunk


class Transport:
    """Connections to one registry and to where it sends us."""

    def __init__(
        self, hosts: Hosts, registry: str, *, pause: Callable[[float], object] = now.pause
    ) -> None:
        self.registry = registry
        self._host = _HUB if registry == DEFAULT_REGISTRY else registry
        self._pause = pause
        self._lax = registry in hosts.insecure or is_loopback(
            urlsplit("//" + registry).hostname or ""
        )
        self._context, self._trusts_own = trust_of(hosts, registry)
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._base: str | None = None

    @property
    def base(self) -> str:
        """``https://host:port``: found out by the first use where plain HTTP is allowed."""
        with self._lock:
            if self._base is None:
                self._base = f"{self._scheme()}://{self._host}"
            return self._base

    def close(self) -> None:
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def send(self, request: Request) -> Answer:
        """The answer, after redirects and retries; any status.

        Raises :class:`RegistryUnavailable` where none comes.
        """
        for attempt in range(_TRIES):
            last = request.once or attempt == _TRIES - 1
            try:
                answer = self._follow(request)
            except (OSError, http.client.HTTPException) as error:
                if last or isinstance(error, _FINAL):
                    raise self._unavailable(request.url, error) from error
                self._pause(_wait(attempt, None))
                continue
            if answer.status not in _AGAIN or last:
                return answer
            with answer:
                answer.read(1 << 20)
                self._pause(_wait(attempt, answer.headers.get("Retry-After")))
        raise AssertionError("the last attempt returns or raises")

    def _follow(self, request: Request) -> Answer:
        url, headers = request.url, request.headers
        for _ in range(_REDIRECTS + 1):
            answer = self._once(request._replace(url=url, headers=headers))
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTED or target is None or request.body is not None:
                return answer
            with answer:
                answer.read(1 << 20)
            following = urljoin(url, target)
            if origin(following) != origin(url):
                headers = {key: value for key, value in headers.items() if key != "Authorization"}
            if urlsplit(following).scheme not in ("http", "https") or (
                url.startswith("https:") and not following.startswith("https:")
            ):
                raise RegistryUnavailable(f"registry: {url}: redirects to {following!r}; refused")
            url = following
        raise RegistryUnavailable(f"registry: {request.url}: more than {_REDIRECTS} redirects")

    def _once(self, request: Request) -> Answer:
        parts = urlsplit(request.url)
        key = (parts.scheme, parts.netloc)
        with self._lock:
            idle = self._idle.get(key)
            connection = idle.pop() if idle else None
        fresh = connection is None
        connection = connection or self._connect(parts)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        headers = {"User-Agent": _AGENT, **request.headers}
        if parts.scheme == "http" and (proxy := _proxy(parts)):
            target = f"http://{parts.netloc}{target}"
            headers |= proxy.headers
        if request.body is not None:
            if request.length >= 0:
                headers["Content-Length"] = str(request.length)
            else:
                headers["Transfer-Encoding"] = "chunked"
        try:
            body = request.body() if request.body is not None else None
            connection.request(
                request.method, target, body=body, headers=headers,
                encode_chunked=request.length < 0,
            )  # fmt: skip
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            if not fresh and not (
                request.once and request.length
            ):  # the server may have closed it while it was idle
                self._forget(key)
                return self._once(request)
            raise
        except BaseException:
            connection.close()
            raise

        def done(whole: bool) -> None:
            if whole and not response.will_close:
                with self._lock:
                    self._idle.setdefault(key, []).append(connection)
            else:
                response.close()
                connection.close()

        return Answer(request.url, response, done)

    def _forget(self, key: tuple[str, str]) -> None:
        with self._lock:
            for connection in self._idle.pop(key, []):
                connection.close()

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        proxy = _proxy(parts)
        where = (proxy.host, proxy.port) if proxy else (host, parts.port)
        if parts.scheme == "http":
            return http.client.HTTPConnection(*where, timeout=_TIMEOUT)
        ours = parts.netloc == self._host
        context = self._registry_context() if ours else ssl.create_default_context()
        found = http.client.HTTPSConnection(*where, timeout=_TIMEOUT, context=context)
        if proxy:
            found.set_tunnel(host, parts.port or 443, proxy.headers)
        return found

    def _registry_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            if self._lax:
                self._context.check_hostname = False
                self._context.verify_mode = ssl.CERT_NONE
        return self._context

    def _scheme(self) -> str:
        """Plain HTTP only where it is allowed and TLS is not spoken."""
        if not self._lax or self._trusts_own:
            return "https"
        probe = self._connect(urlsplit(f"https://{self._host}"))
        probe.timeout = _PROBE
        try:
            probe.connect()
        except (ssl.SSLError, TimeoutError, ConnectionResetError):
            return "http"
        except OSError as error:
            raise self._unavailable(self._host, error) from error
        finally:
            probe.close()
        return "https"

    def _unavailable(self, where: str, error: Exception) -> RegistryUnavailable:
        reason = str(error) or type(error).__name__
        return RegistryUnavailable(f"registry: {self.registry}: {where}: {reason}")


def _proxy(parts: SplitResult) -> Proxy | None:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return proxy_of(parts.scheme, parts.hostname or "", port)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host, port: what credentials belong to."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def _wait(attempt: int, retry_after: str | None) -> float:
    """Seconds: what the server asks for (RFC 9110, section 10.2.3), else 0.25, 0.5, 1, ..."""
    if retry_after is not None and retry_after.strip().isdigit():
        return min(float(retry_after), _LONGEST_WAIT)
    return float(0.25 * (1 << attempt))

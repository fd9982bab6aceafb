"""Turns a URL into a connection to its host: TCP, a proxy on the way, TLS, and who may answer."""

import ipaddress
import re
import socket
import ssl
from collections.abc import Callable
from urllib.parse import SplitResult, urljoin, urlsplit

from dockyard.base.oci.reference import DEFAULT_REGISTRY
from dockyard.node.image.image import RegistryDenied, RegistryUnavailable
from dockyard.node.image.registry import socks
from dockyard.node.image.registry.challenge import is_loopback
from dockyard.node.image.registry.channel import Channel, Line
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.reach import Proxy, proxy_of, trust_of
from dockyard.node.image.registry.tlslayer import TlsLayer

SECONDS = 60.0
"""How long the other side may say nothing."""
_CONNECT_SECONDS = 30.0
_PROBE_SECONDS = 5.0
_OPENSSL = re.compile(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$")
_HUB = "registry-1.docker.io"
_PORTS = {"https": 443, "http": 80}

Dial = Callable[[tuple[str, int], float], socket.socket]


class Dialler:
    """Connections for one registry."""

    def __init__(self, hosts: Hosts, registry: str, dial: Dial) -> None:
        self._registry, self._dial = registry, dial
        self._host = _HUB if registry == DEFAULT_REGISTRY else registry
        self._local = is_loopback(urlsplit("//" + registry).hostname or "")
        self._lax = registry in hosts.insecure or self._local
        self._context, self._trusts_own = trust_of(hosts, registry)

    def base(self) -> str:
        """``https://host:port``, or plain HTTP where it is allowed and TLS is not spoken."""
        if not self._lax or self._trusts_own:
            return f"https://{self._host}"
        try:
            self.connect(urlsplit(f"https://{self._host}"), _PROBE_SECONDS).close()
        except (ssl.SSLError, TimeoutError, ConnectionResetError):
            return f"http://{self._host}"
        except OSError as error:
            where = f"registry: {self._registry}: {self._host}"
            raise RegistryUnavailable(f"{where}: {words_of(error)}") from error
        return f"https://{self._host}"

    def connect(self, parts: SplitResult, seconds: float = SECONDS) -> Channel:
        """Raises ``OSError``, or :class:`RegistryUnavailable` with a proxy's refusal, or for a host
        that no name server can be asked for."""
        try:
            return self._connect(parts, seconds)
        except UnicodeError as error:
            raise RegistryUnavailable(
                f"registry: {self._registry}: {parts.netloc[:300]}: no host's name"
            ) from error

    def _connect(self, parts: SplitResult, seconds: float) -> Channel:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        proxy = proxy_of(parts.scheme, host, port)
        where = (proxy.host, proxy.port) if proxy else (host, port)
        line: Line = self._dial(where, min(seconds, _CONNECT_SECONDS))
        try:
            if proxy is None:
                self._check_peer(line, parts)
            elif proxy.socks:
                socks.ask_for(line, host, port, proxy)
            elif proxy.tls:
                line = _wrapped(line, ssl.create_default_context(), proxy.host)
            if parts.scheme == "https":
                if proxy is not None and not proxy.socks:
                    tunnel(line, host, port, proxy)
                ours = parts.netloc == self._host
                context = self._registry_context() if ours else ssl.create_default_context()
                line = _wrapped(line, context, host)
        except BaseException:
            line.close()
            raise
        return Channel(line, seconds)

    def target(self, parts: SplitResult) -> tuple[str, dict[str, str]]:
        """What is asked for on the connection, and what a proxy wants to see with it."""
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        if parts.scheme == "http":
            port = parts.port or _PORTS["http"]
            proxy = proxy_of("http", parts.hostname or "", port)
            if proxy is not None and not proxy.socks:
                return f"http://{parts.netloc}{target}", proxy.headers
        return target, {}

    def _check_peer(self, line: Line, parts: SplitResult) -> None:
        """Where a registry sends us (redirects, token servers) is nothing of this machine's own,
        nor a cloud's link-local services: asked of the address that answered (C06, C07)."""
        address = _peer(line)
        if parts.netloc == self._host:
            self._local = self._local or (address is not None and address.is_loopback)
            return
        if address is None:
            return
        beyond = address.is_link_local or address.is_multicast or address.is_unspecified
        if beyond or (address.is_loopback and not self._local):
            raise RegistryDenied(
                f"registry: {self._registry}: sends us to {parts.netloc} ({address}), which is "
                "nobody's but this machine's; refused"
            )

    def _registry_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            if self._lax:
                self._context.check_hostname = False
                self._context.verify_mode = ssl.CERT_NONE
        return self._context


def _peer(line: Line) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not isinstance(line, socket.socket) or line.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    found = ipaddress.ip_address(line.getpeername()[0].partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _wrapped(line: Line, context: ssl.SSLContext, host: str) -> Line:
    if isinstance(line, socket.socket) and not isinstance(line, ssl.SSLSocket):
        return context.wrap_socket(line, server_hostname=host)
    return TlsLayer(line, context, host)


def tunnel(line: Line, host: str, port: int, proxy: Proxy) -> None:
    """CONNECT (RFC 9110, section 9.3.6)."""
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    reply = Channel(line, SECONDS).ask("CONNECT", shown, {"Host": shown, **proxy.headers})
    if reply.status != 200:
        why = "it wants USER:PASSWORD in its URL" if reply.status == 407 else "it does not connect"
        raise RegistryUnavailable(
            f"proxy {proxy.host}:{proxy.port}: {reply.status} for {shown}: {why}"
        )


def words_of(error: Exception) -> str:
    """What happened, as a person says it: numbers and places in OpenSSL are nobody's."""
    if isinstance(error, ssl.SSLError):
        if "WRONG_VERSION_NUMBER" in str(error):
            return (
                "speaks no TLS; --no-tls-verify, or insecure = true in registries.conf, "
                "allows plain HTTP"
            )
        hint = isinstance(error, ssl.SSLCertVerificationError)
        text = _OPENSSL.sub("", str(error)) or type(error).__name__
        return f"{text}; certs.d/HOST/ca.crt makes an authority trusted" if hint else text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def joined(url: str, target: str) -> str:
    """Where an answer of ``url`` leads to. ``ValueError`` where that is no HTTP address, or one in
    the clear though the answer came through TLS (C06)."""
    found = urljoin(url, target)
    parts = urlsplit(found)
    scheme, host, _ = origin(found)
    if scheme not in _PORTS or not host or not host.isascii() or parts.username is not None:
        raise ValueError("no address")
    if scheme == "http" and url.startswith("https:"):
        raise ValueError("not through TLS")
    return found


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host, port: what credentials belong to. ``ValueError`` for a port that is none."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        parts.hostname or "",
        parts.port or _PORTS.get(parts.scheme, 80),
    )

"""Turns the credentials of a request into an identity, or into the challenge that asks for some.

A client certificate, a password (Basic), or a token (Bearer). A wrong one is refused, never taken
for none, and the answer does not say what was wrong with it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from typing import TYPE_CHECKING, Any

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import DockyardError
from dockyard.base.wire.http import Connection, Request
from dockyard.node.image.registry.server.access import Access, Identity
from dockyard.node.image.registry.server.refusal import Refusal

if TYPE_CHECKING:  # who has no tokens does not load cryptography
    from dockyard.node.image.registry.server.passwords import Passwords
    from dockyard.node.image.registry.server.tokens import Issuer, Verifier

log = logging.getLogger("dockyard.registry")
AT_ONCE = 2
"""Passwords that are checked side by side: each keeps a core busy."""
MOST_WAITING = 200
_REMEMBERED = 10_000
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::\d{1,5})?")


class Auth:
    """Who may come in, and how they show it. Without any way to, everybody is."""

    def __init__(
        self,
        clock: Clock,
        access: Access,
        *,
        passwords: Passwords | None = None,
        verifier: Verifier | None = None,
        issuer: Issuer | None = None,
        certificates: bool = False,
        realm: str = "",
    ) -> None:
        """``realm``: the token server's address; empty for our own, at the host of the request."""
        self.clock, self.access, self.issuer = clock, access, issuer
        self._passwords, self._verifier, self._realm = passwords, verifier, realm
        self._certificates = certificates
        self.open = passwords is None and verifier is None and not certificates
        self._anonymous = Identity(None, access)
        self._known: dict[str, tuple[Identity, float]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    def at_once(self, request: Request, connection: Connection) -> Identity | None:
        """The identity where no work is needed for it."""
        if self.open:
            return self._anonymous
        shown = request.header(b"authorization")
        if not shown:
            return self._of_certificate(connection) or self._anonymous
        found = self._known.get(shown)
        if found is not None and found[1] > self.clock.time():
            return found[0]
        return None

    async def identity(self, request: Request, connection: Connection) -> Identity:
        """Who it is; 401 for credentials that are wrong."""
        found = self.at_once(request, connection)
        if found is not None:
            return found
        shown = request.header(b"authorization")
        scheme, _, rest = shown.partition(" ")
        if scheme.lower() == "bearer" and self._verifier is not None:
            return self._of_token(request, shown, rest.strip())
        if scheme.lower() == "basic" and self._passwords is not None:
            return Identity(await self.user(rest.strip(), request), self.access)
        raise self.challenge(request)

    async def user(self, packed: str, request: Request) -> str:
        """The user of Basic credentials."""
        try:
            pair = base64.b64decode(packed, validate=True).decode()
        except (binascii.Error, ValueError):
            raise self.challenge(request) from None
        user, _, password = pair.partition(":")
        if not await self.is_right(user, password):
            raise self.challenge(request)
        return user

    async def is_right(self, user: str, password: str) -> bool:
        """Whether a password is."""
        if self._passwords is None:
            return False
        try:
            if self._passwords.known(user, password):
                return True
            if self._waiting >= MOST_WAITING:
                raise Refusal("TOOMANYREQUESTS", "too many passwords to check; try again later")
            self._waiting += 1
            try:
                async with self._slots:
                    return await in_thread(self.clock, self._passwords.check, user, password)
            finally:
                self._waiting -= 1
        except DockyardError as error:
            log.error("%s", error)
            raise Refusal("UNAVAILABLE", "the registry's users cannot be read") from error

    def mark(self, user: str, salt: str) -> str:
        """See :meth:`Passwords.mark`."""
        return self._passwords.mark(user, salt) if self._passwords else ""

    def challenge(self, request: Request, scope: str = "", error: str = "") -> Refusal:
        """401, and how to show who one is. ``scope``: what is needed."""
        if self._verifier is None:
            kind = b'Basic realm="dockyard"' if self._passwords is not None else b""
        else:
            parts = [f'Bearer realm="{self._realm or self._own(request)}"',
                     f'service="{self._verifier.service}"']  # fmt: skip
            parts += [f'scope="{scope}"'] if scope else []
            parts += [f'error="{error}"'] if error else []
            kind = ",".join(parts).encode()
        header = b"WWW-Authenticate: %s\r\n" % kind if kind else b""
        return Refusal("UNAUTHORIZED", headers=header)

    def refuse(self, request: Request, identity: Identity, scope: str) -> Refusal:
        """Somebody who may not: who else they are is asked where that can help."""
        if identity.user is None and not identity.token:
            return self.challenge(request, scope)
        if identity.token:
            return self.challenge(request, scope, "insufficient_scope")
        return Refusal("DENIED", detail={"needs": scope})

    def _of_token(self, request: Request, shown: str, token: str) -> Identity:
        assert self._verifier is not None
        try:
            identity, until = self._verifier.identity(token)
        except DockyardError as error:
            log.info("%s", error)
            raise self.challenge(request, error="invalid_token") from error
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[shown] = (identity, until)
        return identity

    def _of_certificate(self, connection: Connection) -> Identity | None:
        if not self._certificates:
            return None
        if not isinstance(connection.user, Identity):
            certificate = connection.transport.get_extra_info("peercert")
            user = _common_name(certificate or {})
            connection.user = Identity(user, self.access) if user else self._anonymous
        assert isinstance(connection.user, Identity)
        return connection.user

    def _own(self, request: Request) -> str:
        host = request.header(b"host")
        if _HOST.fullmatch(host) is None:
            raise Refusal("UNSUPPORTED", "the Host header is no host", status=400)
        return f"{self.scheme}://{host}/token"

    scheme = "http"
    """Of our own address: ``https`` where TLS is spoken."""


def _common_name(certificate: dict[str, Any]) -> str:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""

"""Turns a user and the scopes that a client asks for into a token, and a token into an identity.

The Distribution project's "Token Authentication Specification": a scope is
``repository:NAME:ACTION,...`` or ``registry:catalog:*``. A refresh token (docker's "identity
token") stands for a password at the token server alone: what it is for is another service's name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from dockyard.base.aio.now import stamp
from dockyard.node.image.registry.server.access import ACTIONS, Access, Identity
from dockyard.node.image.registry.server.jwt import (
    Private,
    Public,
    TokenRefused,
    sign,
    verify,
)
from dockyard.node.image.registry.server.names import is_name

LIFE_SECONDS = 300
REFRESH_SECONDS = 90 * 86400
MOST_SCOPES = 100
_SCOPE = re.compile(r"(repository|registry)(?:\([a-z0-9]+\))?:([^:]+(?::\d+/[^:]+)?):([a-z*,]+)")


class Verifier:
    """Believes tokens of one issuer for one service."""

    def __init__(
        self, keys: list[Public], issuer: str, service: str, now: Callable[[], float]
    ) -> None:
        self.service, self._issuer = service, issuer
        self._keys, self._now = keys, now

    def identity(self, token: str) -> tuple[Identity, float]:
        """Who, and until when; :class:`TokenRefused` otherwise."""
        claims = verify(token, self._keys, self._issuer, self.service, self._now())
        grants: dict[tuple[str, str], frozenset[str]] = {}
        access = claims.get("access") or []
        if not isinstance(access, list):
            raise TokenRefused("token: access is no list")
        for item in access:
            if not isinstance(item, dict) or not isinstance(item.get("actions"), list):
                raise TokenRefused("token: access has an entry that is none")
            key = (str(item.get("type")), str(item.get("name")))
            grants[key] = grants.get(key, frozenset()) | {str(one) for one in item["actions"]}
        user = claims.get("sub")
        found = Identity(user if isinstance(user, str) and user else None, None, grants, True)
        return found, float(claims["exp"])


class Issuer:
    """Signs tokens: what a user asked for, as far as the rules allow it."""

    def __init__(
        self, key: Private, issuer: str, service: str, access: Access, now: Callable[[], float]
    ) -> None:
        self.service, self.access = service, access
        self._key, self._issuer, self._now = key, issuer, now

    def answer(self, user: str | None, scopes: Iterable[str]) -> dict[str, Any]:
        """The token endpoint's document."""
        granted = []
        for kind, name, actions in parse_scopes(scopes):
            allowed = self._allowed(user, kind, name) & actions
            if allowed:
                granted.append({"type": kind, "name": name, "actions": sorted(allowed)})
        now = int(self._now())
        claims = {
            "iss": self._issuer, "sub": user or "", "aud": self.service, "exp": now + LIFE_SECONDS,
            "nbf": now - 10, "iat": now, "jti": uuid.uuid4().hex, "access": granted,
        }  # fmt: skip
        token = sign(claims, self._key)
        return {"token": token, "access_token": token, "expires_in": LIFE_SECONDS,
                "issued_at": stamp(now)}  # fmt: skip

    def refresh_token(self, user: str, mark: Callable[[str], str]) -> str:
        """``mark``: turns this token's id into what nobody makes who does not know what the
        user's password is now; another password ends the token."""
        now, name = int(self._now()), uuid.uuid4().hex
        claims = {
            "iss": self._issuer, "sub": user, "aud": self._refreshing, "exp": now + REFRESH_SECONDS,
            "nbf": now - 10, "iat": now, "jti": name, "mark": mark(name),
        }  # fmt: skip
        return sign(claims, self._key)

    def refreshed(self, token: str, mark: Callable[[str, str], str]) -> str:
        """The user; :class:`TokenRefused` otherwise."""
        keys = [self._key.public_key()]
        claims = verify(token, keys, self._issuer, self._refreshing, self._now())
        user = str(claims.get("sub"))
        expected = mark(user, str(claims.get("jti")))
        if not expected or claims.get("mark") != expected:
            raise TokenRefused("token: the user is gone, or has another password")
        return user

    @property
    def _refreshing(self) -> str:
        return f"{self.service} refresh"

    def _allowed(self, user: str | None, kind: str, name: str) -> frozenset[str]:
        if kind == "registry":
            return frozenset({"*"}) if name == "catalog" and user is not None else frozenset()
        return self.access.allowed(user, name)


def parse_scopes(texts: Iterable[str]) -> list[tuple[str, str, frozenset[str]]]:
    """(type, name, actions); what is none is left out, as the specification has it."""
    found = []
    for text in " ".join(texts).split()[:MOST_SCOPES]:
        match = _SCOPE.fullmatch(text)
        if match is None:
            continue
        kind, name, words = match[1], match[2], frozenset(match[3].split(","))
        if kind == "repository" and is_name(name):
            actions = ACTIONS if "*" in words else words & ACTIONS
            found.append((kind, name, actions))
        elif kind == "registry":
            found.append((kind, name, words))
    return found

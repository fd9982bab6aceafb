"""Turns a client certificate or a bearer token into a user; everybody else is anonymous."""

from __future__ import annotations

import csv
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.base.wire.http import Request
from dockyard.cluster.client.transport import User
from dockyard.cluster.meta import errors

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"
REFUSED_HEADERS = (b"impersonate-user", b"impersonate-group", b"impersonate-uid")


class Authenticator:
    """Who somebody is. ``tokens`` by token."""

    def __init__(self, tokens: Mapping[str, User] | None = None) -> None:
        self._tokens = dict(tokens or {})

    def of_certificate(self, certificate: Mapping[str, Any] | None) -> User | None:
        """The user of a verified certificate (``ssl.SSLSocket.getpeercert``)."""
        if not certificate:
            return None
        name, groups = "", []
        for part in certificate.get("subject", ()):
            for key, value in part:
                if key == "commonName":
                    name = value
                elif key == "organizationName":
                    groups.append(value)
        return User(name, (*groups, AUTHENTICATED)) if name else None

    def of_request(self, request: Request, certificate_user: User | None) -> User:
        """The user of a request. Raises Unauthorized for a credential that is none of ours."""
        for name in REFUSED_HEADERS:
            if request.header(name):
                raise errors.forbidden("users", "", "impersonation is not implemented")
        given = request.all(b"authorization")
        if not given:
            return certificate_user or ANONYMOUS
        scheme, _, token = given[0].strip().partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
            raise errors.Unauthorized()
        if user := self.of_token(token.strip()):
            return user
        raise errors.Unauthorized()

    def of_token(self, token: str) -> User | None:
        """The user of a bearer token."""
        found = None
        for known, user in self._tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                found = user
        return found


def read_tokens(path: Path) -> dict[str, User]:
    """kube-apiserver's token file: lines of ``token,user,uid,"group1,group2"``."""
    found: dict[str, User] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    except OSError as error:
        raise Invalid(f"token-auth-file: {path}: {error.strerror}") from error
    for number, row in enumerate(rows, 1):
        if len(row) < 3 or not row[0].strip() or not row[1].strip():
            raise Invalid(f"token-auth-file: {path}: line {number}: not token,user,uid[,groups]")
        groups = tuple(g.strip() for g in row[3].split(",")) if len(row) > 3 and row[3] else ()
        found[row[0].strip()] = User(row[1].strip(), (*groups, AUTHENTICATED), row[2].strip())
    return found

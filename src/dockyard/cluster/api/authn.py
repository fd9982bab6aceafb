"""Turns a client certificate or a bearer token into a user; everybody else is anonymous."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.base.wire.http import Request
from dockyard.cluster.client.transport import User
from dockyard.cluster.meta import errors

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"
IMPERSONATE = b"impersonate-"


class Authenticator:
    """Who somebody is. ``tokens`` by token: only their hashes are kept."""

    def __init__(self, tokens: Mapping[str, User] | None = None) -> None:
        self._tokens = {_hashed(token.encode()): user for token, user in (tokens or {}).items()}

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
        given: bytes | None = None
        for name, value in request.headers:
            if name == b"authorization":
                if given is not None:
                    raise errors.Unauthorized()
                given = value
            elif name.startswith(IMPERSONATE):
                raise errors.forbidden("users", "", "impersonation is not implemented")
        if given is None:
            return certificate_user or ANONYMOUS
        scheme, _, token = given.strip().partition(b" ")
        user = self._tokens.get(_hashed(token.strip())) if scheme.lower() == b"bearer" else None
        if user is None:
            raise errors.Unauthorized()
        return user

    def of_token(self, token: str) -> User | None:
        """The user of a bearer token."""
        return self._tokens.get(_hashed(token.encode()))


def _hashed(token: bytes) -> bytes:
    """Looked up by its hash, a token's bytes are never compared one by one."""
    return hashlib.sha256(token).digest()


def read_tokens(path: Path) -> dict[str, User]:
    """kube-apiserver's token file: lines of ``token,user,uid,"group1,group2"``."""
    found: dict[str, User] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    except OSError as error:
        raise Invalid(f"token-auth-file: {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"token-auth-file: {path}: {error}") from error
    for number, row in enumerate(rows, 1):
        if len(row) < 3 or not row[0].strip() or not row[1].strip():
            raise Invalid(f"token-auth-file: {path}: line {number}: not token,user,uid[,groups]")
        groups = tuple(g.strip() for g in row[3].split(",")) if len(row) > 3 and row[3] else ()
        found[row[0].strip()] = User(row[1].strip(), (*groups, AUTHENTICATED), row[2].strip())
    return found

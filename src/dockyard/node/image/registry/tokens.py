"""Turns a registry's challenge into the ``Authorization`` header that answers it.

Basic, and bearer tokens as the distribution project describes them ("Token Authentication
Specification"). A token is kept for its scope as long as this client lives.
"""

import base64
import threading
from urllib.parse import urlencode, urlsplit

from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.image import RegistryDenied
from dockyard.node.image.registry.challenge import Challenge, check_realm
from dockyard.node.image.registry.hosts import Credentials
from dockyard.node.image.registry.transport import Request, Transport

_CLIENT = "dockyard"
_LARGEST = 1 << 20
_LONGEST = 64 << 10
"""Of a token: it goes into a header of each request."""


class Tokens:
    """What this client has to show at one registry. Used by several threads."""

    def __init__(self, transport: Transport, credentials: Credentials | None) -> None:
        self._transport = transport
        self._credentials = credentials
        self._lock = threading.Lock()
        self._headers: dict[str, str] = {}
        self.lasting: str | None = None
        """A refresh token for what the password is for, where one is asked for (not None) and the
        token server has them."""
        if credentials and credentials.token:
            self._headers[""] = f"Bearer {credentials.token}"

    def header(self, scope: str) -> str | None:
        """What was accepted for this scope before."""
        with self._lock:
            return self._headers.get(scope) or self._headers.get("")

    def answer(self, challenges: list[Challenge], scope: str, refused: str | None) -> str | None:
        """A header for these challenges; None where there is nothing (new) to show.

        ``refused`` is the header that the registry did not accept.
        """
        with self._lock:
            known = self._headers.get(scope)
            if known is not None and known != refused:
                return known  # another thread was quicker
            for challenge in challenges:
                if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                    found = self._bearer(challenge, scope)
                elif (
                    challenge.scheme == "basic"
                    and self._credentials
                    and not (self._credentials.refresh)
                ):
                    found = basic(self._credentials)
                else:
                    continue
                if found != refused:
                    self._headers[scope] = found
                    return found
            return None

    def _bearer(self, challenge: Challenge, scope: str) -> str:
        realm = challenge.parameters["realm"]
        check_realm(realm, self._transport.base)
        query = [("scope", each) for each in scope.split()]
        if "service" in challenge.parameters:
            query.append(("service", challenge.parameters["service"]))
        headers = {}
        if self._credentials is not None and self._credentials.username:
            query.append(("account", self._credentials.username))
            headers["Authorization"] = basic(self._credentials)
        if self.lasting is not None:
            query += [("offline_token", "true"), ("client_id", _CLIENT)]
        join = "&" if urlsplit(realm).query else "?"
        request = Request("GET", f"{realm}{join}{urlencode(query)}", headers)
        if self._credentials is not None and self._credentials.refresh:
            request = _exchange(realm, scope, query, self._credentials.refresh)
        with self._transport.send(request) as answer:
            data = answer.read(_LARGEST)
            where = f"registry: {self._transport.registry}: token server {urlsplit(realm).netloc}"
            if answer.status != 200:
                raise RegistryDenied(f"{where}: answers {answer.status} for {scope}; log in?")
        value = decode_object(data, where, limit=_LARGEST)
        if self.lasting is not None and value.get("refresh_token"):
            self.lasting = _checked(value["refresh_token"], where)
        return f"Bearer {_checked(value.get('token') or value.get('access_token'), where)}"


def _checked(token: object, where: str) -> str:
    if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
        raise RegistryDenied(f"{where}: its answer has no token")
    if len(token) > _LONGEST:
        raise RegistryDenied(f"{where}: a token of {len(token)} characters; refused")
    return token


def _exchange(realm: str, scope: str, query: list[tuple[str, str]], refresh: str) -> Request:
    """An identity token for an access token (distribution, "OAuth2 Token Authentication")."""
    form = [
        *((key, value) for key, value in query if key != "scope"),
        ("scope", scope),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", _CLIENT),
    ]
    body = urlencode(form).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", realm, headers, lambda: [body], len(body))


def basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()

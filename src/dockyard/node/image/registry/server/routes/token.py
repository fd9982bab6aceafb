"""``/token``: a password becomes a token for the scopes that are asked for.

GET as the Distribution project's token specification has it, POST with ``grant_type=password`` or
``refresh_token`` as its OAuth 2 form has it. Without a password, what everybody may do is granted.
Who asks to come back without one (``offline_token=true``, ``access_type=offline``) gets a token for
that too.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from dockyard.base.errors import DockyardError
from dockyard.node.image.registry.server.call import Call, parse_query
from dockyard.node.image.registry.server.refusal import Refusal

if TYPE_CHECKING:
    from dockyard.node.image.registry.server.tokens import Issuer

log = logging.getLogger("dockyard.registry")
NO_STORE = b"Cache-Control: no-store\r\n"


async def get(call: Call) -> None:
    issuer = _issuer(call)
    _check_service(issuer, call.one("service"))
    scheme, _, packed = call.header(b"authorization").partition(" ")
    user: str | None = None
    if scheme:
        if scheme.lower() != "basic":
            raise _refused()
        try:
            user = await call.registry.auth.user(packed.strip(), call.request)
        except Refusal as refusal:
            raise (_refused() if refusal.status == 401 else refusal) from None
    lasting = user if call.one("offline_token") == "true" else None
    _give(call, issuer, user, call.query.get("scope", []), lasting)


async def post(call: Call) -> None:
    issuer = _issuer(call)
    form = parse_query(call.request.body.decode("latin-1"))

    def one(key: str) -> str:
        return form.get(key, [""])[0]

    _check_service(issuer, one("service") or None)
    grant = one("grant_type")
    if grant == "refresh_token":
        try:
            user = issuer.refreshed(one("refresh_token"), call.registry.auth.mark)
        except DockyardError as error:
            log.info("%s", error)
            raise _refused() from error
        _give(call, issuer, user, form.get("scope", []))
        return
    if grant != "password":
        words = "grant_type: password or refresh_token is expected"
        raise Refusal("UNSUPPORTED", words, status=400)
    user = one("username")
    if not await call.registry.auth.is_right(user, one("password")):
        raise _refused()
    lasting = user if one("access_type") == "offline" else None
    _give(call, issuer, user, form.get("scope", []), lasting)


def _give(
    call: Call, issuer: Issuer, user: str | None, scopes: list[str], lasting: str | None = None
) -> None:
    """``lasting``: who gets a refresh token too."""
    value = issuer.answer(user, scopes)
    if lasting is not None:
        mark = call.registry.auth.mark
        value["refresh_token"] = issuer.refresh_token(lasting, partial(mark, lasting))
    call.json(value, NO_STORE)


def _issuer(call: Call) -> Issuer:
    issuer = call.registry.auth.issuer
    if issuer is None:
        raise Refusal("UNSUPPORTED", "no tokens are issued here", status=404)
    return issuer


def _check_service(issuer: Issuer, service: str | None) -> None:
    if service not in (None, issuer.service):
        raise Refusal("UNSUPPORTED", f"service: {str(service)[:80]!r}: not this one", status=400)


def _refused() -> Refusal:
    return Refusal("UNAUTHORIZED", headers=b'WWW-Authenticate: Basic realm="dockyard"\r\n')

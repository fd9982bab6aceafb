"""``/token``: a password becomes a token for the scopes that are asked for.

GET as the Distribution project's token specification has it, POST with ``grant_type=password`` as
its OAuth 2 form has it. Without a password, what everybody may do is granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.node.image.registry.server.call import Call, parse_query
from dockyard.node.image.registry.server.refusal import Refusal

if TYPE_CHECKING:
    from dockyard.node.image.registry.server.tokens import Issuer

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
    call.json(issuer.answer(user, call.query.get("scope", [])), NO_STORE)


async def post(call: Call) -> None:
    issuer = _issuer(call)
    form = parse_query(call.request.body.decode("latin-1"))

    def one(key: str) -> str:
        return form.get(key, [""])[0]

    _check_service(issuer, one("service") or None)
    if one("grant_type") != "password":
        raise Refusal("UNSUPPORTED", "grant_type: only password is implemented", status=400)
    user = one("username")
    if not await call.registry.auth.is_right(user, one("password")):
        raise _refused()
    call.json(issuer.answer(user, form.get("scope", [])), NO_STORE)


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

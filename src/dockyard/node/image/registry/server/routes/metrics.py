"""``/metrics``: Prometheus' text. With users, only somebody known may read it."""

from dockyard.node.image.registry.server.call import Call
from dockyard.node.image.registry.server.metrics import TYPE
from dockyard.node.image.registry.server.refusal import Refusal


async def get(call: Call) -> None:
    registry = call.registry
    if not registry.auth.open and call.identity.user is None:
        raise registry.auth.challenge(call.request)
    if call.identity.access is None:
        raise Refusal("DENIED", "a token is for repositories; use a password or a certificate")
    call.respond(200, TYPE, registry.metrics.text())

"""``/v2/``: this is a registry, and you may come in. ``/``: something listens."""

from dockyard.node.image.registry.server.call import Call


async def get(call: Call) -> None:
    """200 for whom it lets in (end-1)."""
    call.json({})


async def alive(call: Call) -> None:
    """For load balancers: nothing is told."""
    call.respond(200)

"""``/v2/_catalog``: repositories that the caller may pull from, sorted, in pages (Docker's API)."""

from dockyard.node.image.registry.server.call import Call
from dockyard.node.image.registry.server.paging import page


async def get(call: Call) -> None:
    registry, identity = call.registry, call.identity
    names = list(registry.store.names)
    if identity.access is not None and not registry.auth.open:
        names = await call.work(lambda: [name for name in names if identity.may("pull", name)])
    taken, link = page(call, names, "/v2/_catalog")
    call.json({"repositories": taken}, link)

"""``/v2/NAME/tags/list``: a repository's tags, sorted, in pages (end-8a, end-8b)."""

from dockyard.node.image.registry.server.call import Call
from dockyard.node.image.registry.server.paging import page


async def get(call: Call) -> None:
    registry, name = call.registry, call.name
    if registry.through is not None:
        tags = await registry.through.tags(name)
    else:
        registry.store.need(name)
        tags = [str(tag) for tag in await call.work(registry.store.tags, name)]
    taken, link = page(call, tags, f"/v2/{name}/tags/list")
    call.json({"name": name, "tags": taken}, link)

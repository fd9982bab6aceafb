"""``/v2/NAME/referrers/DIGEST``: what is about a manifest: signatures, SBOMs (end-12)."""

from __future__ import annotations

from urllib.parse import urlencode

import orjson

from dockyard.base.oci.manifest import LARGEST, OCI_INDEX
from dockyard.node.image.registry.server.call import Call, line
from dockyard.node.image.registry.server.names import parse_blob_digest

TYPE = line("Content-Type", OCI_INDEX)
_ROOM = LARGEST - 1024


async def get(call: Call) -> None:
    """An index: empty where nothing is about it, never 404."""
    subject = parse_blob_digest(call.argument)
    registry = call.registry
    found = await call.work(registry.store.referrers, call.name, subject)
    if registry.through is not None:
        found = await registry.through.referrers(call.name, subject, found)
    headers = TYPE
    wanted = call.one("artifactType")
    if wanted:
        found = [item for item in found if item.get("artifactType") == wanted]
        headers += line("OCI-Filters-Applied", "artifactType")
    last = call.one("last")
    if last is not None:
        found = [item for item in found if str(item["digest"]) > last]
    taken = _fitting(found)
    if len(taken) < len(found):
        query = {"last": taken[-1]["digest"]} | ({"artifactType": wanted} if wanted else {})
        path = f"/v2/{call.name}/referrers/{subject}?{urlencode(query)}"
        headers += line("Link", f'<{path}>; rel="next"')
    call.json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": taken}, headers, b"")


def _fitting(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """As many as make one manifest, which has at most four megabytes; one at least."""
    size = 0
    for number, item in enumerate(found):
        size += len(orjson.dumps(item)) + 1
        if size > _ROOM and number:
            return found[:number]
    return found

"""``/v2/NAME/blobs/DIGEST``: a blob's bytes, whole or a range, and its removal (end-2, end-10)."""

from __future__ import annotations

import os

from dockyard.base.oci.digest import Digest
from dockyard.node.image.registry.server.call import Call, about_blob, line, opened
from dockyard.node.image.registry.server.names import parse_blob_digest
from dockyard.node.image.registry.server.ranges import Unsatisfiable, parse_range
from dockyard.node.image.registry.server.refusal import Refusal


async def get(call: Call) -> None:
    """GET and HEAD. The file goes out as it is: who takes it holds it against its digest."""
    digest = parse_blob_digest(call.argument)
    registry = call.registry
    if registry.through is not None and await registry.through.blob(call, digest):
        return
    file, size = await opened(call.work(registry.store.open_blob, call.name, digest))
    try:
        await send(call, digest, file, size)
    finally:
        os.close(file)


async def send(call: Call, digest: Digest, file: int, size: int) -> None:
    """Answer with a blob that is here."""
    headers = about_blob(digest)
    if call.header(b"if-none-match") in (f'"{digest}"', "*"):
        call.respond(304, headers)
        return
    wanted, only_if = call.header(b"range"), call.header(b"if-range")
    part = None
    if wanted and call.request.method == "GET" and only_if in ("", f'"{digest}"'):
        try:
            part = parse_range(wanted, size)
        except Unsatisfiable:
            raise Refusal(
                "RANGE_INVALID", detail={"size": size},
                headers=line("Content-Range", f"bytes */{size}"),
            ) from None  # fmt: skip
    start, length = part or (0, size)
    status = 200
    if part is not None:
        status = 206
        headers += line("Content-Range", f"bytes {start}-{start + length - 1}/{size}")
    await call.file(status, headers, file, start, length)
    if call.request.method == "GET":
        call.registry.metrics.count("blob_bytes_sent_total", "Bytes of blobs sent.", length)


async def delete(call: Call) -> None:
    """The repository has it no more."""
    if not call.registry.rules.deletes:
        raise Refusal("UNSUPPORTED", "this registry deletes nothing")
    digest = parse_blob_digest(call.argument)
    call.registry.store.need(call.name)
    await call.work(call.registry.store.remove_blob, call.name, digest)
    call.respond(202)

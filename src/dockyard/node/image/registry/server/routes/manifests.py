"""``/v2/NAME/manifests/TARGET``: manifests by tag or digest (end-3, end-7, end-9)."""

from __future__ import annotations

from dockyard.base.oci.digest import Digest, hash_document
from dockyard.base.oci.manifest import LARGEST
from dockyard.node.image.registry.server.call import ALWAYS, Call, line
from dockyard.node.image.registry.server.documents import parse_pushed
from dockyard.node.image.registry.server.memory import Answer
from dockyard.node.image.registry.server.names import (
    Tag,
    parse_blob_digest,
    parse_tag,
    parse_target,
)
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Found

MOST_TAGS = 100


async def get(call: Call) -> None:
    """GET and HEAD: the bytes that were pushed, with the type they were pushed as."""
    target = parse_target(call.argument)
    registry = call.registry
    version = registry.store.versions.get(call.name, 0)
    if registry.through is not None:
        found = await registry.through.manifest(call.name, target)
    else:
        found = await call.work(registry.store.manifest, call.name, target)
    headers, etag = about(found), f'"{found.digest}"'
    if registry.through is None or isinstance(target, Digest):
        answer = Answer(call.name, version, etag, ALWAYS + headers, found.data)
        registry.memory.put(call.request.target, answer)
    if call.header(b"if-none-match") == etag:
        call.respond(304, headers)
    else:
        call.respond(200, headers, found.data)


def about(found: Found) -> bytes:
    """The headers of a manifest."""
    return (
        line("Content-Type", found.media_type)
        + line("Docker-Content-Digest", found.digest)
        + line("Etag", f'"{found.digest}"')
    )


async def put(call: Call) -> None:
    """Keep a manifest, exactly as it came."""
    word = call.argument
    target = parse_blob_digest(word) if ":" in word else parse_tag(word)
    data = call.request.body
    if len(data) > LARGEST:
        raise Refusal("MANIFEST_INVALID", f"more than {LARGEST} bytes", status=413)
    digest, tags = _names(call, target, data)
    pushed = await call.work(parse_pushed, data, call.header(b"content-type"))
    store, sparse = call.registry.store, call.registry.rules.sparse
    await call.work(store.put_manifest, call.name, digest, data, pushed, tags, sparse)
    headers = line("Location", f"/v2/{call.name}/manifests/{digest}")
    headers += line("Docker-Content-Digest", digest)
    if pushed.subject is not None:
        headers += line("OCI-Subject", pushed.subject)
    if "tag" in call.query:
        headers += line("OCI-Tag", ", ".join(tags))
    call.respond(201, headers)


def _names(call: Call, target: Tag | Digest, data: bytes) -> tuple[Digest, list[Tag]]:
    """The digest and tags that a manifest gets."""
    words = call.query.get("tag", [])
    if len(words) > MOST_TAGS:
        raise Refusal("TAG_INVALID", f"{len(words)} tags; at most {MOST_TAGS}", status=414)
    if isinstance(target, Digest):
        if hash_document(target.algorithm, data) != target:
            raise Refusal("DIGEST_INVALID", detail={"digest": target})
        return target, [parse_tag(word) for word in words]
    if words:
        raise Refusal("UNSUPPORTED", "tags as parameters belong to a push by digest", status=400)
    return hash_document("sha256", data), [target]


async def delete(call: Call) -> None:
    """A tag goes alone; a digest takes its tags with it."""
    if not call.registry.rules.deletes:
        raise Refusal("UNSUPPORTED", "this registry deletes nothing")
    target, store = parse_target(call.argument), call.registry.store
    if isinstance(target, Digest):
        await call.work(store.remove_manifest, call.name, target)
    else:
        await call.work(store.remove_tag, call.name, target)
    call.respond(202)

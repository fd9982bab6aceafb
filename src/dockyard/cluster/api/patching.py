"""Turns a patch of one of three kinds and the object it is for into the patched object."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.client.transport import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Request
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta import errors, jsonpatch, mergepatch, strategicpatch
from dockyard.cluster.meta.patchschema import PatchSchema

APPLY = "application/apply-patch+yaml"
KNOWN = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)


def require_known(media: str) -> None:
    """Raise UnsupportedMediaType for what is no patch, or none of these three."""
    if media == APPLY:
        raise errors.UnsupportedMediaType("server-side apply is not implemented; use "
                                          "`kubectl apply` without --server-side")  # fmt: skip
    if media not in KNOWN:
        raise errors.unsupported_media_type(media, KNOWN)


def apply(
    registry: Registry, kind: Kind, request: Request, current: dict[str, Any]
) -> dict[str, Any]:
    """The patched object; ``current`` is the caller's own. Raises ApiError."""
    require_known(request.patch_type)
    if request.patch_type == JSON_PATCH:
        patched = jsonpatch.apply(current, request.body)
    elif request.patch_type == MERGE_PATCH:
        patched = mergepatch.apply(current, request.body)
    else:
        schema = PatchSchema.of(registry.schemas, kind.definition)
        patched = strategicpatch.apply(current, request.body, schema)
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise errors.BadRequest("the patched object has no metadata")
    if (patched.get("apiVersion"), patched.get("kind")) != (kind.api_version, kind.kind):
        raise errors.BadRequest(
            f"the patch makes a {kind.kind} of {kind.api_version} an object of another kind: "
            f"{str(patched.get('apiVersion'))[:80]}, Kind={str(patched.get('kind'))[:80]}"
        )
    return patched

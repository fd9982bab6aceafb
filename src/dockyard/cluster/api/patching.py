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


def apply(
    registry: Registry, kind: Kind, request: Request, current: dict[str, Any]
) -> dict[str, Any]:
    """The patched object; ``current`` is the caller's own. Raises ApiError."""
    if request.patch_type == JSON_PATCH:
        patched = jsonpatch.apply(current, request.body)
    elif request.patch_type == MERGE_PATCH:
        patched = mergepatch.apply(current, request.body)
    elif request.patch_type == STRATEGIC_PATCH:
        schema = PatchSchema.of(registry.schemas, kind.definition)
        patched = strategicpatch.apply(current, request.body, schema)
    elif request.patch_type == APPLY:
        raise errors.UnsupportedMediaType("server-side apply is not implemented; use "
                                          "`kubectl apply` without --server-side")  # fmt: skip
    else:
        raise errors.unsupported_media_type(request.patch_type, KNOWN)
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise errors.BadRequest("the patched object has no metadata")
    return patched

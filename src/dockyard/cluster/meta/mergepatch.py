"""Turns a document and a merge patch into the patched document (RFC 7386)."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.meta.jsonvalues import copied


def apply(document: Any, patch: Any) -> Any:
    """A new document; the given ones are not touched."""
    if type(patch) is not dict:
        return copied(patch)
    found = dict(document) if type(document) is dict else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = apply(found.get(name), value)
    return {name: each if name in patch else copied(each) for name, each in found.items()}

"""Turns objects that were handed out into digests, to find out who has changed one. For tests."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from dockyard.cluster.client.transport import Object


class Mutated(AssertionError):
    """An object that many share was changed in place; make a copy (``copy_of``) and change that."""


class MutationDetector:
    """Remembers every object as it was when it was handed out."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Object, bytes]] = {}

    def handed_out(self, obj: Object) -> None:
        """Called by whoever hands out shared objects."""
        if id(obj) not in self._seen:
            self._seen[id(obj)] = (obj, _digest(obj))

    def check(self) -> None:
        """Raises :class:`Mutated` for the first object that is not as it was."""
        for obj, before in self._seen.values():
            if _digest(obj) != before:
                raise Mutated(f"changed after it was handed out: {_shown(obj)}")


def _digest(obj: Any) -> bytes:
    return hashlib.sha256(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)).digest()


def _shown(obj: Object) -> str:
    metadata = obj.get("metadata", {})
    revision = metadata.get("resourceVersion", "")
    where = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
    return f"{obj.get('kind', 'object')} {where} at {revision}: {str(dict(obj))[:1000]}"

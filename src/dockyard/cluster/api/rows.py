"""Turns objects into stored bytes and back, without reading what nobody needs.

Stored bytes carry no resourceVersion: it is known only at commit. It stands empty at a fixed place,
right behind the kind's own head, and is spliced in. A row keeps the bytes, and what selectors need;
the dict is decoded when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.store.contract import Entry

Object = Mapping[str, Any]

VERSION = b'"resourceVersion":"'
"""How the head of every stored object ends."""


def head_of(kind: Kind) -> bytes:
    """What every stored object of a kind begins with, up to the empty resourceVersion."""
    return (
        f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}","metadata":{{"resourceVersion":"'
    ).encode()


def encode(kind: Kind, obj: Object) -> bytes:
    """An object as it is stored."""
    metadata = {"resourceVersion": "", **obj["metadata"]}
    metadata["resourceVersion"] = ""
    rest = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "metadata")}
    document = {
        "kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata, **rest
    }  # fmt: skip
    return orjson.dumps(document)


class Row:
    """One stored object at one revision. Immutable, but for what it has decoded so far."""

    __slots__ = ("_cut", "_encoded", "_fields", "_object", "entry", "kind", "labels", "namespace")

    def __init__(self, kind: Kind, cut: int, entry: Entry) -> None:
        self.kind, self.entry, self._cut = kind, entry, cut
        self._encoded: bytes | None = None
        self._object: dict[str, Any] | None = None
        self._fields: dict[str, str] | None = None
        metadata = self.object()["metadata"]
        self.namespace: str = metadata.get("namespace", "")
        self.labels: Mapping[str, str] = metadata.get("labels") or {}
        self._object = None

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def revision(self) -> int:
        return self.entry.modified

    def encoded(self) -> bytes:
        """The object as clients get it, with its resourceVersion."""
        if self._encoded is None:
            raw, cut = self.entry.value, self._cut
            if self.entry.modified:
                self._encoded = b"%s%d%s" % (raw[:cut], self.entry.modified, raw[cut:])
            else:  # a dry run's: it is of no revision
                self._encoded = raw[: cut - len(VERSION)] + raw[cut + len(b'",') :]
        return self._encoded

    def object(self) -> dict[str, Any]:
        """The object; shared, so nobody changes it."""
        if self._object is None:
            self._object = orjson.loads(self.encoded())
        return self._object

    def peek(self) -> dict[str, Any]:
        """The object for one look: it is as shared as :meth:`object`, but not kept for it."""
        return orjson.loads(self.encoded()) if self._object is None else self._object

    def copy(self) -> dict[str, Any]:
        """An object of one's own."""
        found: dict[str, Any] = orjson.loads(self.encoded())
        return found

    def fields(self) -> dict[str, str]:
        """What field selectors see."""
        if self._fields is None:
            self._fields = self.kind.selectable(self.peek())
        return self._fields

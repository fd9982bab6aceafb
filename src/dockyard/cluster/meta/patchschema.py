"""Turns a schema into how strategic merge patches merge its fields.

``x-kubernetes-patch-strategy`` and ``x-kubernetes-patch-merge-key`` of the published definitions
(API conventions, "Strategic Merge Patch"). A place that the schema does not describe merges maps
and replaces lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.meta.schema import Schemas


class PatchSchema:
    """One place of a schema."""

    __slots__ = ("_node", "_schemas")

    def __init__(self, schemas: Schemas, node: Mapping[str, Any]):
        self._schemas = schemas
        self._node = schemas.resolve(node)

    @classmethod
    def of(cls, schemas: Schemas, definition: str) -> PatchSchema:
        """That of a whole kind."""
        return cls(schemas, schemas.definition(definition))

    def field(self, name: str) -> PatchSchema:
        """That of one field of an object (or one value of a map)."""
        node = self._node.get("properties", {}).get(name)
        if node is None:
            node = self._node.get("additionalProperties")
        return PatchSchema(self._schemas, node if isinstance(node, dict) else {})

    def element(self) -> PatchSchema:
        """That of a list's elements."""
        return PatchSchema(self._schemas, self._node.get("items", {}))

    @property
    def strategies(self) -> frozenset[str]:
        """``merge``, ``replace``, ``retainKeys``."""
        text = self._node.get("x-kubernetes-patch-strategy", "")
        return frozenset(text.split(",")) if text else frozenset()

    @property
    def merge_key(self) -> str:
        """The field that tells the elements of a merged list apart; empty for plain values."""
        return str(self._node.get("x-kubernetes-patch-merge-key", ""))

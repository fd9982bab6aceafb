"""Turns objects and their kind's columns into a ``meta.k8s.io/v1`` Table, as kubectl get asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

OBJECT, METADATA, NONE = "Object", "Metadata", "None"
INCLUDE = (OBJECT, METADATA, NONE)
"""What ``includeObject`` may ask for; ``Metadata`` if it does not ask."""


class ColumnLike(Protocol):
    """What a Table needs of a column."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def description(self) -> str: ...


def table(
    columns: Sequence[ColumnLike],
    rows: Iterable[tuple[Mapping[str, Any], Sequence[Any]]],
    *,
    metadata: Mapping[str, Any] | None = None,
    include: str = METADATA,
    definitions: bool = True,
) -> dict[str, Any]:
    """A Table of ``(object, cells)`` rows; ``metadata`` is that of the list.

    A watch sends the column definitions with its first event only (``definitions``).
    """
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata or {}),
        "columnDefinitions": [column_definition(each) for each in columns] if definitions else [],
        "rows": [row(obj, cells, include) for obj, cells in rows],
    }


def row(obj: Mapping[str, Any], cells: Sequence[Any], include: str = METADATA) -> dict[str, Any]:
    """One row, with as much of the object as was asked for."""
    found: dict[str, Any] = {"cells": list(cells)}
    if include == OBJECT:
        found["object"] = obj
    elif include == METADATA:
        found["object"] = partial(obj)
    return found


def partial(obj: Mapping[str, Any]) -> dict[str, Any]:
    """``PartialObjectMetadata``: nothing but the metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj.get("metadata", {}),
    }


def column_definition(column: ColumnLike) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }

"""Turns what a manifest said before, what it says now and what is there into what shall be there.

The three-way merge of ``kubectl apply`` ("Declarative Management of Kubernetes Objects"): what the
manifest names is set, what it named before and names no longer goes, what others wrote stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.meta.jsonvalues import copied, same
from dockyard.cluster.meta.patchschema import PatchSchema

Object = Mapping[str, Any]


def merge(before: Object, now: Object, there: Object, schema: PatchSchema | None) -> dict[str, Any]:
    """The object as it shall be, a new one. Without a schema, lists are replaced as they are."""
    found: dict[str, Any] = copied(dict(there))
    for name in before:
        if name not in now:
            found.pop(name, None)
    if schema is not None and "retainKeys" in schema.strategies:
        found = {name: value for name, value in found.items() if now.get(name) is not None}
    for name, value in now.items():
        if value is None:
            found.pop(name, None)
            continue
        below = schema.field(name) if schema is not None else None
        found[name] = _value(before.get(name), value, found.get(name), below)
    return found


def _value(before: Any, now: Any, there: Any, schema: PatchSchema | None) -> Any:
    strategies = schema.strategies if schema is not None else frozenset()
    if isinstance(now, dict):
        if not isinstance(there, dict) or "replace" in strategies:
            return merge({}, now, {}, schema)
        return merge(before if isinstance(before, dict) else {}, now, there, schema)
    if isinstance(now, list) and isinstance(there, list) and "merge" in strategies:
        assert schema is not None
        old = before if isinstance(before, list) else []
        return _list(old, now, there, schema)
    return copied(now)


def _list(before: list[Any], now: list[Any], there: list[Any], schema: PatchSchema) -> list[Any]:
    """Elements stay where they stand, unless the manifest has them in another order: then its own
    come first. New ones stand behind."""
    key = schema.merge_key

    def identity(element: Any) -> Any:
        return element.get(key) if key and isinstance(element, dict) else element

    def find(elements: list[Any], wanted: Any) -> Any:
        return next((each for each in elements if same(identity(each), wanted)), None)

    def merged(each: Any) -> Any:
        if not isinstance(each, dict):
            return each
        old, present = (
            one if isinstance(one, dict) else {}
            for one in (find(before, identity(each)), find(there, identity(each)))
        )
        return merge(old, each, present, schema.element())

    kept = [
        each
        for each in there
        if find(now, identity(each)) is not None or find(before, identity(each)) is None
    ]
    standing = [each for each in kept if find(now, identity(each)) is not None]
    named = [each for each in now if find(there, identity(each)) is not None]
    if [identity(each) for each in standing] != [identity(each) for each in named]:
        own = [copied(each) for each in kept if find(now, identity(each)) is None]
        return [merged(each) for each in now] + own
    fresh = [merged(each) for each in now if find(there, identity(each)) is None]
    return [
        copied(each) if mine is None else merged(mine)
        for each in kept
        for mine in [find(now, identity(each))]
    ] + fresh


def difference(there: Object, wanted: Object) -> dict[str, Any]:
    """The JSON merge patch from one object to another; empty where they are the same."""
    patch: dict[str, Any] = {name: None for name in there if name not in wanted}
    for name, value in wanted.items():
        old = there.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            below = difference(old, value)
            if below:
                patch[name] = below
        elif name not in there or not same(old, value):
            patch[name] = value
    return patch

"""Turns an object and a strategic merge patch into the patched object.

As JSON merge patch, but lists with a merge key merge element by element, and directives say what a
value can't: ``$patch`` (replace, delete), ``$retainKeys``, ``$setElementOrder/<list>``,
``$deleteFromPrimitiveList/<list>`` (API conventions, "Strategic Merge Patch").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.jsonpatch import PatchFailed
from dockyard.cluster.meta.jsonvalues import copied, identity
from dockyard.cluster.meta.patchschema import PatchSchema

PATCH = "$patch"
RETAIN = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"

Object = dict[str, Any]


def apply(obj: Object, patch: Any, schema: PatchSchema) -> Object:
    """A new object; the given ones are not touched."""
    if type(patch) is not dict:
        raise errors.BadRequest("a strategic merge patch is an object")
    return _merge_map(copied(obj), copied(patch), schema)


def _merge_map(original: Object, patch: Object, schema: PatchSchema) -> Object:
    directive = patch.pop(PATCH, None)
    if directive == "replace":
        return _merge_map({}, patch, schema)
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise errors.BadRequest(f"unknown patch type found: {directive}")
    _retain(original, patch)
    orders = {key: patch.pop(key) for key in list(patch) if key.startswith(ORDER)}
    for key in [key for key in patch if key.startswith(DELETE_FROM)]:
        _delete_from(original, key.removeprefix(DELETE_FROM), patch.pop(key))
    for name, value in patch.items():
        below = schema.field(name)
        if value is None:
            original.pop(name, None)
        elif type(value) is dict:
            _merge_field(original, name, value, below)
        elif type(value) is list and "merge" in below.strategies:
            before = original.get(name)
            order = orders.get(ORDER + name)
            original[name] = _merge_list(
                before if type(before) is list else [], value, below, order
            )
        else:
            original[name] = _clean(value, below)
    for key, order in orders.items():
        name = key.removeprefix(ORDER)
        if name not in patch and type(original.get(name)) is list:
            below = schema.field(name)
            original[name] = _ordered(original[name], original[name], order, below.merge_key)
    return original


def _merge_field(original: Object, name: str, value: Object, schema: PatchSchema) -> None:
    before = original.get(name)
    if "replace" in schema.strategies and PATCH not in value:
        original[name] = _clean(value, schema)
        return
    directive = value.get(PATCH)
    if directive == "delete":
        original.pop(name, None)
        return
    original[name] = _merge_map(before if type(before) is dict else {}, value, schema)


def _retain(original: Object, patch: Object) -> None:
    """``$retainKeys``: what the list does not name goes (a union's other members)."""
    keys = patch.pop(RETAIN, None)
    if keys is None:
        return
    if type(keys) is not list:
        raise errors.BadRequest(f"invalid patch format of {RETAIN}: a list of names is expected")
    kept = {each for each in keys if type(each) is str}
    for name in patch:
        if name not in kept and patch[name] is not None and not name.startswith("$"):
            raise errors.BadRequest(f"invalid patch format of {RETAIN}: {name} is not in the list")
    for name in [name for name in original if name not in kept]:
        del original[name]


def _delete_from(original: Object, name: str, values: Any) -> None:
    if type(values) is not list:
        raise errors.BadRequest(f"invalid patch format of {DELETE_FROM}{name}: a list is expected")
    before = original.get(name)
    if type(before) is list:
        gone = set(map(identity, values))
        original[name] = [each for each in before if identity(each) not in gone]


def _clean(value: Any, schema: PatchSchema) -> Any:
    """A value that takes another's place: without nulls, with its directives carried out."""
    if type(value) is dict:
        return _merge_map({}, value, schema)
    if type(value) is list:
        if "merge" in schema.strategies and schema.merge_key:
            return _merge_list([], value, schema, None)
        return [_clean(each, schema.element()) for each in value]
    return value


def _merge_list(
    original: list[Any], patch: list[Any], schema: PatchSchema, order: Any
) -> list[Any]:
    key = schema.merge_key
    if any(type(each) is list for each in (*original, *patch)):
        raise PatchFailed("lists of lists are not supported")
    if not any(type(each) is dict for each in (*original, *patch)):
        merged = list({identity(each): each for each in (*original, *patch)}.values())
        return _ordered(merged, original, patch if order is None else order, "")
    if not key:
        raise PatchFailed("patch: cannot merge lists of objects without a merge key")
    if any(type(each) is not dict for each in patch):
        raise errors.BadRequest("expected all elements of a patch's list to be objects")
    if any(each.get(PATCH) == "replace" for each in patch):
        rest = [each for each in patch if each.get(PATCH) != "replace"]
        return [_merge_map({}, each, schema.element()) for each in rest]
    gone: set[Hashable] = set()
    kept: list[Any] = []
    for each in patch:
        if key not in each:
            raise PatchFailed(f"map: {each} does not contain declared merge key: {key}")
        if each.get(PATCH) == "delete":
            gone.add(identity(each[key]))
        else:
            kept.append(each)
    merged = [one for one in original if _key_of(one, key) not in gone]
    _merge_elements(merged, kept, key, schema.element())
    return _ordered(merged, original, kept if order is None else order, key)


def _key_of(element: Any, key: str) -> Hashable:
    return identity(element.get(key) if type(element) is dict else None)


def _merge_elements(merged: list[Any], patch: list[Object], key: str, schema: PatchSchema) -> None:
    """Each into the first with its key, or behind all others."""
    places: dict[Hashable, int] = {}
    for index, each in enumerate(merged):
        if type(each) is dict:
            places.setdefault(_key_of(each, key), index)
    for each in patch:
        value = each[key]
        place = places.setdefault(identity(value), len(merged))
        if place == len(merged):
            merged.append(_merge_map({}, each, schema))
        else:
            merged[place] = _merge_map(merged[place], each, schema)
            merged[place].setdefault(key, value)


def _ordered(merged: list[Any], original: list[Any], order: Any, key: str) -> list[Any]:
    """The elements that ``order`` names in its order, the server's own ones where they stood."""
    if type(order) is not list:
        raise errors.BadRequest(f"invalid patch format of {ORDER}: a list is expected")
    place = _places(original, key)
    wanted = _places(order, key)
    identified = _identity(key)
    named = [each for each in merged if identified(each) in wanted]
    own = [each for each in merged if identified(each) not in wanted]
    named.sort(key=lambda each: wanted[identified(each)])
    own.sort(key=lambda each: place.get(identified(each), len(place)))
    found: list[Any] = []
    first, second = deque(own), deque(named)
    while first and second:
        left, right = place.get(identified(first[0])), place.get(identified(second[0]))
        before = left is not None and right is not None and left < right
        found.append((first if before else second).popleft())
    return [*found, *first, *second]


def _identity(key: str) -> Callable[[Any], tuple[str, str]]:
    def of(element: Any) -> tuple[str, str]:
        value = element.get(key) if key and type(element) is dict else element
        return type(value).__name__, str(value)

    return of


def _places(elements: list[Any], key: str) -> dict[tuple[str, str], int]:
    identified = _identity(key)
    found: dict[tuple[str, str], int] = {}
    for index, each in enumerate(elements):
        found.setdefault(identified(each), index)
    return found

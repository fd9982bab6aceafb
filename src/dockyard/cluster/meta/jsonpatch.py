"""Turns a document and a list of operations into the patched document (RFC 6902, RFC 6901).

All operations or none: the document given is not touched. Limits (F10): the number of operations,
and the bytes that ``copy`` may add.
"""

from __future__ import annotations

from typing import Any

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.jsonvalues import copied, same, size
from dockyard.cluster.meta.schema import DEPTH, too_deep

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 * 1024 * 1024
_MISSING = object()
_TOO_DEEP = f"a JSON patch that nests its document deeper than {DEPTH} levels"
_NEEDS_VALUE = frozenset({"add", "replace", "test"})
_NEEDS_FROM = frozenset({"move", "copy"})


class PatchFailed(errors.Invalid):
    """An operation that the document does not allow: a path that is not there, a failed test."""

    def __init__(self, why: str):
        super().__init__(
            "the server rejected our request due to an error in our request",
            {"causes": [{"reason": "UnexpectedServerResponse", "message": why, "field": "patch"}]},
        )


def apply(document: Any, operations: Any) -> Any:
    """The patched document; BadRequest, TooLarge or :class:`PatchFailed`."""
    if type(operations) is not list:
        raise errors.BadRequest("a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise errors.TooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, "
            f"got {len(operations)}"
        )
    try:
        found = _applied(copied(document), operations)
    except RecursionError:
        raise errors.BadRequest(_TOO_DEEP) from None
    if too_deep(found):
        raise errors.BadRequest(_TOO_DEEP)
    return found


def _applied(found: Any, operations: list[Any]) -> Any:
    room = MAX_COPIED
    for operation in operations:
        name = _checked(operation)
        path = pointer(operation["path"])
        if name == "add":
            found = _add(found, path, copied(operation["value"]))
        elif name == "remove":
            found = _remove(found, path)
        elif name == "replace":
            found = _replace(found, path, copied(operation["value"]))
        elif name == "test":
            found_value = _at(found, path, _MISSING)
            # An absent member is null to a test, as in the field's patch library.
            if not same(None if found_value is _MISSING else found_value, operation["value"]):
                raise PatchFailed(f"testing value {operation['path']} failed: test failed")
        elif name == "move":
            source = pointer(operation["from"])
            if path[: len(source)] == source and len(path) > len(source):
                raise PatchFailed(f"unable to move {operation['from']} into itself")
            value = _at(found, source)
            found = _add(_remove(found, source), path, value)
        else:
            value = copied(_at(found, pointer(operation["from"])))
            room -= size(value)
            if room < 0:
                raise errors.TooLarge(
                    "Unable to complete the copy, the accumulated size increase of JSON Patch "
                    f"exceeds the limit {MAX_COPIED}"
                )
            found = _add(found, path, value)
    return found


def _checked(operation: Any) -> str:
    if type(operation) is not dict or type(operation.get("op")) is not str:
        raise errors.BadRequest("a JSON patch operation is an object with 'op' and 'path'")
    name: str = operation["op"]
    if name not in {"add", "remove", "replace", "test", "move", "copy"}:
        raise errors.BadRequest(f"Unexpected kind: {name}")
    if type(operation.get("path")) is not str:
        raise errors.BadRequest(f"a JSON patch operation '{name}' needs 'path'")
    if name in _NEEDS_VALUE and "value" not in operation:
        raise errors.BadRequest(f"a JSON patch operation '{name}' needs 'value'")
    if name in _NEEDS_FROM and type(operation.get("from")) is not str:
        raise errors.BadRequest(f"a JSON patch operation '{name}' needs 'from'")
    return name


def pointer(text: str) -> list[str]:
    """The reference tokens of a JSON pointer."""
    if not text:
        return []
    if not text.startswith("/"):
        raise errors.BadRequest(f"JSON pointer '{text}': must start with '/'")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _shown(path: list[str]) -> str:
    return "/" + "/".join(path)


def _missing(path: list[str]) -> PatchFailed:
    return PatchFailed(f'doc is missing path: "{_shown(path)}": missing value')


def _index(token: str, length: int, path: list[str]) -> int:
    digits = token.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and digits != "0"):
        raise PatchFailed(f'"{token}" in "{_shown(path)}": no index of an array')
    if len(digits) > 9:
        raise PatchFailed(f"Unable to access invalid index: {token}: invalid index referenced")
    found = int(token)
    if found < 0:
        found += length
    if not 0 <= found <= length:
        raise PatchFailed(f"Unable to access invalid index: {token}: invalid index referenced")
    return found


def _at(document: Any, path: list[str], default: Any = None) -> Any:
    value = document
    for token in path:
        if type(value) is dict and token in value:
            value = value[token]
            continue
        if type(value) is list:
            index = _index(token, len(value), path)
            if index < len(value):
                value = value[index]
                continue
        if default is not None:
            return default
        raise _missing(path)
    return value


def _parent(document: Any, path: list[str]) -> Any:
    found = _at(document, path[:-1])
    if type(found) not in (dict, list):
        raise _missing(path)
    return found


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, token = _parent(document, path), path[-1]
    if type(parent) is dict:
        parent[token] = value
    elif token == "-":  # noqa: S105 - RFC 6901's name for the place after the last
        parent.append(value)
    else:
        parent.insert(_index(token, len(parent), path), value)
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent, token = _parent(document, path), path[-1]
    _at(document, path)
    if type(parent) is dict:
        del parent[token]
    else:
        del parent[_index(token, len(parent), path)]
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    _at(document, path)
    parent, token = _parent(document, path), path[-1]
    parent[token if type(parent) is dict else _index(token, len(parent), path)] = value
    return document

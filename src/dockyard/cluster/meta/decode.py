"""Turns the bytes of a request into one JSON value and the faults that strict decoding names.

One decoder for everything that comes in (F09): bounded depth, bounded numbers, no ``NaN``, UTF-8
only, and duplicate keys found (the last one counts, as in the field; a strict request is refused).
"""

from __future__ import annotations

import json
from typing import Any, Never

import orjson

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.schema import DEPTH, too_deep

MAX_BODY = 3 * 1024 * 1024
"""Bytes of a request's body; kube-apiserver's limit."""
MOST_FAULTS = 100
"""Faults of strict decoding that are told, each once; sigs.k8s.io/json's limit."""


def decode_json(data: bytes, *, strict: bool = False) -> tuple[Any, list[str]]:
    """The value and, if ``strict``, its duplicate keys: ``duplicate field "spec.replicas"``."""
    if len(data) > MAX_BODY:
        raise errors.too_large(MAX_BODY)
    if not data.strip():
        raise errors.BadRequest("the body of the request is empty, an object is expected")
    try:
        value = orjson.loads(data)
    except ValueError as error:
        raise errors.BadRequest(f"the body of the request is not JSON: {error}") from error
    if too_deep(value):
        raise errors.BadRequest(f"the body of the request is nested deeper than {DEPTH} levels")
    if not strict or orjson.dumps(value) == data.strip():
        return value, []  # a key that stands there twice would be missing from one of the two
    return value, duplicate_keys(data)


def duplicate_keys(data: bytes) -> list[str]:
    """The keys that stand twice in one object of a JSON text, by path."""
    found = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        made = dict(items)
        found = found or len(made) != len(items)
        return made

    text = data.decode()
    json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    if not found:
        return []
    faults: dict[str, None] = {}
    _walk(json.loads(text, object_pairs_hook=_Pairs), [], faults)
    return list(faults)


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, to be told from an array."""


def _walk(value: Any, path: list[str], faults: dict[str, None]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        told: set[str] = set()
        for key, each in value:
            if len(faults) >= MOST_FAULTS:
                return
            path.append(f".{key}" if path else key)
            if key in seen and key not in told:
                told.add(key)
                faults[f'duplicate field "{"".join(path)}"'] = None
            seen.add(key)
            _walk(each, path, faults)
            path.pop()
    elif isinstance(value, list):
        for index, each in enumerate(value):
            path.append(f"[{index}]")
            _walk(each, path, faults)
            path.pop()


def _no_constant(text: str) -> Never:
    raise errors.BadRequest(f"the body of the request is not JSON: {text} is no number")

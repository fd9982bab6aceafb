"""Turns YAML documents (a request's body, a manifest) into JSON values.

YAML as Kubernetes reads it: keys are strings, dates and numbers of base 60 stay text, no alias is
followed (F09: a few lines of aliases expand to gigabytes), nesting is bounded before anything is
built.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import orjson
import yaml

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.decode import MAX_BODY, MOST_FAULTS
from dockyard.cluster.meta.schema import DEPTH

_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def decode_yaml(data: bytes, *, strict: bool = False) -> tuple[Any, list[str]]:
    """The value of one document and, if ``strict``, its duplicate keys."""
    documents, faults = _documents(data)
    if len(documents) != 1:
        raise errors.BadRequest(f"the body of the request has {len(documents)} YAML documents")
    return documents[0], faults if strict else []


def decode_manifest(data: bytes) -> list[Any]:
    """The documents of a manifest that are not empty."""
    return [each for each in _documents(data)[0] if each is not None]


def _documents(data: bytes) -> tuple[list[Any], list[str]]:
    if len(data) > MAX_BODY:
        raise errors.too_large(MAX_BODY)
    faults: list[str] = []
    try:
        _check_events(data)
        loader = _Loader(data)
        try:
            found = []
            while loader.check_data():  # type: ignore[no-untyped-call]
                found.append(loader.get_data())
            faults = loader.faults
        finally:
            loader.dispose()
        return [orjson.loads(orjson.dumps(each)) for each in found], faults
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise errors.BadRequest(f"not YAML: {error}") from error
    except (TypeError, ValueError, LookupError, OverflowError) as error:  # !!int "", !!bool x
        raise errors.BadRequest(f"no JSON value: {error}") from error


def _check_events(data: bytes) -> None:
    depth = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise errors.BadRequest(f"YAML alias *{event.anchor}: aliases are not accepted")
        if isinstance(event, _OPENING):
            depth += 1
            if depth > DEPTH:
                raise errors.BadRequest(f"YAML nested deeper than {DEPTH} levels")
        elif isinstance(event, _CLOSING):
            depth -= 1


class _Loader(yaml.CSafeLoader):
    def __init__(self, data: bytes):
        super().__init__(data)
        self.faults: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise yaml.YAMLError("a key must be a string")
            if key in found and len(self.faults) < MOST_FAULTS:
                self.faults.append(f'duplicate field "{key}"')
            found[key] = self.construct_object(value_node, deep=True)
        return found


def _mapping(loader: _Loader, node: Any) -> dict[Hashable, Any]:
    return loader.construct_mapping(node)


def _text(loader: _Loader, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _whole(loader: _Loader, node: Any) -> int | str:
    return _text(loader, node) if ":" in node.value else int(loader.construct_yaml_int(node))


def _number(loader: _Loader, node: Any) -> float | str:
    if ":" in node.value:
        return _text(loader, node)
    found = loader.construct_yaml_float(node)
    if not math.isfinite(found):
        raise yaml.YAMLError(f"{node.value}: no JSON number")
    return found


_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)

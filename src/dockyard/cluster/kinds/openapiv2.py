"""Turns the published definitions into the OpenAPI v2 document, as JSON and in protobuf.

kubectl holds the items of a ``List`` against it before it sends them, and reads protobuf only.
Numbers of fields are those of the OpenAPI v2 messages of gnostic (``openapi.v2.Document``). There
are no ``paths``: clients find those in the v3 documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds.registry import Registry

PROTOBUF = b"application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED = tuple(f"application/com.github.proto-openapi.spec.v2{dot}v1.0+protobuf" for dot in ".@")
"""Clients ask with an @, which no media type may have; the answer has a dot."""
TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
WHOLE = {"maxLength": 11, "minLength": 12, "maxItems": 14, "minItems": 15}
PUBLISHED = {
    "Quantity": {"type": "string"},
    "IntOrString": {"type": "string", "format": "int-or-string"},
}
DEFAULT, REQUIRED, ADDITIONAL, TYPE, ITEMS, PROPERTIES, EXTENSION = 5, 19, 21, 22, 23, 25, 31
SWAGGER, INFO, PATHS, DEFINITIONS = 1, 2, 8, 9


def document(registry: Registry) -> dict[str, Any]:
    """The document as JSON has it."""
    return {
        "swagger": "2.0",
        "info": _info(registry),
        "paths": {},
        "definitions": _definitions(registry),
    }


def encoded(registry: Registry) -> bytes:
    """The document in protobuf; about 0.2 s."""
    info = _info(registry)
    definitions = (
        _bytes(1, _named(name, _schema(each))) for name, each in _definitions(registry).items()
    )
    return b"".join(
        (
            _text(SWAGGER, "2.0"),
            _bytes(INFO, _text(1, info["title"]) + _text(2, info["version"])),
            _bytes(PATHS, b""),
            _bytes(DEFINITIONS, b"".join(definitions)),
        )
    )


def _info(registry: Registry) -> dict[str, str]:
    return {"title": "Kubernetes", "version": f"v{registry.release}.0"}


def _definitions(registry: Registry) -> dict[str, Any]:
    """Version 2 has no ``oneOf``: what is one of two types is published as text."""
    return {
        name: PUBLISHED.get(name.rpartition(".")[2], each) if "oneOf" in each else each
        for name, each in registry.schemas.definitions.items()
    }


def _schema(node: Mapping[str, Any]) -> bytes:
    found = [_text(number, node[name]) for name, number in TEXTS.items() if name in node]
    found += [_number(number, node[name]) for name, number in WHOLE.items() if name in node]
    if "default" in node:
        found.append(_bytes(DEFAULT, _any(node["default"])))
    found += [_text(REQUIRED, name) for name in node.get("required", ())]
    additional = node.get("additionalProperties")
    if isinstance(additional, Mapping):
        found.append(_bytes(ADDITIONAL, _bytes(1, _schema(additional))))
    if "type" in node:
        found.append(_bytes(TYPE, _text(1, node["type"])))
    if "items" in node:
        found.append(_bytes(ITEMS, _bytes(1, _schema(node["items"]))))
    if "properties" in node:
        below = (_bytes(1, _named(name, _schema(each)))
                 for name, each in node["properties"].items())  # fmt: skip
        found.append(_bytes(PROPERTIES, b"".join(below)))
    found += [_bytes(EXTENSION, _named(name, _any(value)))
              for name, value in node.items() if name.startswith("x-")]  # fmt: skip
    return b"".join(found)


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _bytes(2, value)


def _any(value: Any) -> bytes:
    """A value as YAML; JSON is that, too."""
    return _text(2, json.dumps(value))


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)

"""The OpenAPI v2 document: whole in both encodings. The reader of protobuf is the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dockyard.cluster.kinds import openapiv2
from dockyard.cluster.kinds.registry import registry

NUMBERS = {1: "$ref", 2: "format", 3: "title", 4: "description", 13: "pattern"}


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of wire type 2, which all of these are."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                return value, at

    at = 0
    while at < len(data):
        key, at = varint(at)
        assert key & 7 == 2
        size, at = varint(at)
        yield key >> 3, data[at : at + size]
        at += size
    assert at == len(data)


def named(data: bytes) -> tuple[str, bytes]:
    found = dict(fields(data))
    return found[1].decode(), found.get(2, b"")


def schema(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in fields(data):
        match number:
            case 19:
                found.setdefault("required", []).append(value.decode())
            case 21:
                found["additionalProperties"] = schema(dict(fields(value))[1])
            case 22:
                found["type"] = dict(fields(value))[1].decode()
            case 23:
                found["items"] = schema(dict(fields(value))[1])
            case 25:
                pairs = [named(each) for _, each in fields(value)]
                found["properties"] = {name: schema(each) for name, each in pairs}
            case 31:
                name, each = named(value)
                found[name] = json.loads(dict(fields(each))[2])
            case _:
                found[NUMBERS[number]] = value.decode()
    return found


def test_protobuf_says_what_json_says() -> None:
    document = openapiv2.document(registry())
    found = dict(fields(openapiv2.encoded(registry())))
    assert found[1] == b"2.0"
    info = dict(fields(found[2]))
    assert info[2].decode() == document["info"]["version"] == "v1.33.0"
    pairs = [named(each) for _, each in fields(found[9])]
    decoded = {name: schema(each) for name, each in pairs}
    assert decoded == document["definitions"]
    pod = decoded["io.k8s.api.core.v1.Pod"]
    assert {"group": "", "kind": "Pod", "version": "v1"} in pod["x-kubernetes-group-version-kind"]

"""Turns a kind's schema into objects of chance: fields of the right type (mostly), odd values."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta.schema import REF

TEXTS = (
    "", "a", "web", "a" * 300, "-", "0", "80", "http", "TCP", "Always", "25%", "1.5", "1e3", "100m",
    "9" * 400, "..", "/", "a/b", "*", "*.a.b", "\u00e9", "\0", "\n", "None", "10.0.0.1",
    "fd00::1", "10.0.0.0/8", "1.2.3.4/99", "In", "Exists", "Gt", "-5", "* * * * *", "@every 1s",
    "99999999999999999999 * * * *", "app=web", "RollingUpdate", "IPv6", "Local", "Prefix", "Exact",
    "NodePort", "ExternalName", "Europe/Berlin", "metadata.name", "metadata.labels['a']",
    "limits.cpu", "$(A)", "nginx@sha256:x", "unconfined", "ALL",
)  # fmt: skip
TIMES = (
    "2025-01-01T00:00:00Z", "2025-01-01T00:00:00.5+02:00", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.5Z", "2025-19-39T29:59:59Z", "x",
)  # fmt: skip
NUMBERS = (0, 1, -1, 5, 80, 65535, 65536, 30000, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 3600)
WRONG: tuple[Any, ...] = (None, None, {}, [], "x", 5, True, 1.5)


class Chance:
    """Objects of one registry's kinds."""

    def __init__(self, registry: Registry, random: Random) -> None:
        self._schemas, self._random = registry.schemas, random

    def object(self, kind: Kind) -> dict[str, Any]:
        found = self._value({"$ref": REF + kind.definition}, 0)
        found = found if isinstance(found, dict) else {}
        found["apiVersion"], found["kind"] = kind.api_version, kind.kind
        if not isinstance(found.get("metadata"), dict) or self._random.random() < 0.7:
            found["metadata"] = {"name": "a"}
        return found

    def _value(self, schema: Mapping[str, Any], depth: int) -> Any:
        random, schema = self._random, self._schemas.resolve(schema)
        if random.random() < 0.01:
            return random.choice(WRONG)
        if "properties" in schema:
            share = random.choice((0.1, 0.3, 0.6) if depth < 4 else (0.05, 0.2, 0.4))
            needed = schema.get("required", ()) if depth < 9 else ()
            return {
                name: self._value(each, depth + 1)
                for name, each in schema["properties"].items()
                if random.random() < (0.95 if name in needed else share if depth < 9 else 0)
            }
        match schema.get("type"):
            case "object":
                inner = schema.get("additionalProperties", {})
                names = random.sample(TEXTS, random.choice((0, 1, 1, 2)))
                return {name: self._value(inner, depth + 1) for name in names}
            case "array":
                count = random.choice((0, 1, 1, 1, 2, 3))
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer":
                return random.choice(NUMBERS)
            case "boolean":
                return random.random() < 0.5
            case "number":
                return random.choice((0.5, 1, -1, 1e300))
            case "string" if "enum" in schema and random.random() < 0.7:
                return random.choice(schema["enum"])
            case "string" if schema.get("format") == "byte":
                return random.choice(("YQ==", "", "e30=", "!", "W1tb"))
            case "string" if schema.get("format") == "date-time":
                return random.choice(TIMES)
            case "string" if schema.get("format") != "int-or-string":
                return random.choice(TEXTS)
        return random.choice((*TEXTS, *NUMBERS))

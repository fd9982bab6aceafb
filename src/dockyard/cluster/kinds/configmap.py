"""ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, age, name, number
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import config_key

LIMIT = 1024 * 1024
"""Bytes of all values (as the object carries them)."""
IMMUTABLE = "field is immutable when `immutable` is set"


def check_frozen(obj: Mapping[str, Any], old: Mapping[str, Any], *parts: str) -> list[FieldError]:
    """Once ``immutable`` it stays so, and the data with it."""
    if not old.get("immutable"):
        return []
    faults: list[FieldError] = []
    if not obj.get("immutable"):
        faults.append(field.forbidden("immutable", IMMUTABLE))
    return faults + [
        field.forbidden(part, IMMUTABLE)
        for part in parts
        if (obj.get(part) or {}) != (old.get(part) or {})
    ]


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    faults: list[FieldError] = []
    texts, binaries = obj.get("data") or {}, obj.get("binaryData") or {}
    for part, found in (("data", texts), ("binaryData", binaries)):
        for key in found:
            faults += checks.named(key, f"{part}[{key}]", config_key)
    faults += [
        field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        for key in texts
        if key in binaries
    ]
    size = sum(len(value.encode()) for value in texts.values())
    size += sum(len(value) * 3 // 4 for value in binaries.values())
    if size > LIMIT:
        faults.append(field.too_long("", LIMIT))
    return faults


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    return check_frozen(obj, old, "data", "binaryData")


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    entries = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [name(obj), entries, age(obj, now)]


KINDS = (
    Kind(
        "",
        "v1",
        "ConfigMap",
        "configmaps",
        short_names=("cm",),
        check=_check,
        check_update=_check_update,
        columns=(NAME, number("Data", "Entries that it holds."), AGE),
        cells=_cells,
    ),
)

"""Events, under their old group (core) and their own (``events.k8s.io``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from dockyard.cluster.kinds.columns import name, number, text
from dockyard.cluster.kinds.kind import Column, Kind
from dockyard.cluster.meta import age as ages

_COLUMNS = (
    text("Last Seen", "When it last happened."),
    text("Type", "Normal, or Warning."),
    text("Reason", "What happened, in a word."),
    text("Object", "To what."),
    text("Subobject", "To which part of it.", 1),
    text("Source", "Who says so.", 1),
    text("Message", "What happened."),
    text("First Seen", "When it first happened.", 1),
    number("Count", "How often.", 1),
    Column("Name", format="name", priority=1, description="Name of the event."),
)
_OBJECT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _object(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = obj.get("involvedObject") or obj.get("regarding") or {}
    return found


def _either(obj: Mapping[str, Any], core: str, own: str) -> Any:
    """Core's name of a field, or that of ``events.k8s.io``."""
    return obj.get(core) or obj.get(own)


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    target = _object(obj)
    first = _either(obj, "firstTimestamp", "deprecatedFirstTimestamp") or obj.get("eventTime")
    last = _either(obj, "lastTimestamp", "deprecatedLastTimestamp") or first
    count = _either(obj, "count", "deprecatedCount") or 1
    series = obj.get("series")
    if series:
        last = series.get("lastObservedTime") or last
        count = series.get("count") or count
    kind = str(target.get("kind", "")).lower()
    return [
        ages.age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{target['name']}" if target.get("name") else kind,
        target.get("fieldPath", ""),
        _source(obj),
        str(_either(obj, "message", "note") or "").strip(),
        ages.age(first, now),
        count,
        name(obj),
    ]


def _source(obj: Mapping[str, Any]) -> str:
    source = _either(obj, "source", "deprecatedSource") or {}
    component = source.get("component") or _either(obj, "reportingComponent", "reportingController")
    host = source.get("host") or obj.get("reportingInstance")
    return ", ".join(each for each in (component, host) if each)


def _fields(prefix: str, obj: Mapping[str, Any]) -> dict[str, str]:
    target = _object(obj)
    source = _either(obj, "source", "deprecatedSource") or {}
    component = _either(obj, "reportingComponent", "reportingController") or ""
    found = {f"{prefix}.{part}": str(target.get(part, "")) for part in _OBJECT}
    return {
        **found,
        "reason": obj.get("reason", ""),
        "reportingComponent": component,
        "reportingController": component,
        "source": source.get("component") or component,
        "type": obj.get("type", ""),
    }


def _names(prefix: str) -> frozenset[str]:
    return frozenset({f"{prefix}.{part}" for part in _OBJECT}) | {
        "reason", "reportingComponent", "reportingController", "source", "type",
    }  # fmt: skip


_CORE_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_OWN_NAMES = {core: own for own, core in _CORE_NAMES.items()}


def _to_core(obj: dict[str, Any]) -> dict[str, Any]:
    """An event of ``events.k8s.io`` as the core group stores it."""
    return {_CORE_NAMES.get(key, key): value for key, value in obj.items()} | {"apiVersion": "v1"}


def _from_core(obj: dict[str, Any]) -> dict[str, Any]:
    found = {_OWN_NAMES.get(key, key): value for key, value in obj.items()}
    return found | {"apiVersion": "events.k8s.io/v1"}


KINDS = (
    Kind(
        "",
        "v1",
        "Event",
        "events",
        short_names=("ev",),
        columns=_COLUMNS,
        cells=_cells,
        fields=partial(_fields, "involvedObject"),
        field_names=_names("involvedObject"),
    ),
    Kind(
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        short_names=("ev",),
        columns=_COLUMNS,
        cells=_cells,
        fields=partial(_fields, "regarding"),
        field_names=_names("regarding"),
        hub=("", "v1"),
        to_hub=_to_core,
        from_hub=_from_core,
    ),
)

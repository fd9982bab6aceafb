"""Turns what many kinds show alike into columns and cells: name, age, selectors, containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dockyard.cluster.kinds.kind import Column
from dockyard.cluster.meta import age as ages
from dockyard.cluster.meta.selectors import format_label_selector

NONE = "<none>"
UNSET = "<unset>"

NAME = Column("Name", format="name", description="Name, unique within its namespace.")
AGE = Column("Age", description="Time since its creation.")
CONTAINERS = Column("Containers", priority=1, description="Names of its containers.")
IMAGES = Column("Images", priority=1, description="Images of its containers.")
SELECTOR = Column("Selector", priority=1, description="Labels of the pods that it has.")


def number(name: str, description: str, priority: int = 0) -> Column:
    return Column(name, "integer", priority=priority, description=description)


def text(name: str, description: str, priority: int = 0) -> Column:
    return Column(name, priority=priority, description=description)


def name(obj: Mapping[str, Any]) -> str:
    found: str = obj.get("metadata", {}).get("name", "")
    return found


def age(obj: Mapping[str, Any], now: float) -> str:
    return ages.age(obj.get("metadata", {}).get("creationTimestamp"), now)


def joined(values: Iterable[str], nothing: str = NONE) -> str:
    return ",".join(values) or nothing


def labels(found: Mapping[str, str] | None) -> str:
    """A map of labels as a selector reads them, by key."""
    return joined(f"{key}={value}" for key, value in sorted((found or {}).items()))


def selector(found: Mapping[str, Any] | None) -> str:
    """A LabelSelector in one line."""
    return format_label_selector(found) or NONE


def containers(pod_spec: Mapping[str, Any]) -> list[str]:
    """The cells of ``CONTAINERS`` and ``IMAGES``."""
    found = pod_spec.get("containers") or ()
    return [
        ",".join(each.get("name", "") for each in found),
        ",".join(each.get("image", "") for each in found),
    ]


def template_spec(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod spec in a workload's template."""
    found: Mapping[str, Any] = obj.get("spec", {}).get("template", {}).get("spec", {})
    return found

"""Namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds.columns import AGE, NAME, age, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind, Subresource
from dockyard.cluster.meta.names import label_name

NAME_LABEL = "kubernetes.io/metadata.name"
_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


def _default(obj: dict[str, Any]) -> None:
    metadata = obj.setdefault("metadata", {})
    if metadata.get("name"):
        metadata["labels"] = {**(metadata.get("labels") or {}), NAME_LABEL: metadata["name"]}


def _on_create(obj: dict[str, Any]) -> None:
    _default(obj)  # again: the name may have been generated since
    finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    obj["status"] = {"phase": "Active"}


def _on_update(obj: dict[str, Any], old: Mapping[str, Any]) -> None:
    # Only the `finalize` subresource moves these.
    spec = dict(obj.get("spec") or {})
    spec.pop("finalizers", None)
    if "finalizers" in old.get("spec", {}):
        spec["finalizers"] = old["spec"]["finalizers"]
    obj["spec"] = spec


def _phase(obj: Mapping[str, Any]) -> str:
    return str(obj.get("status", {}).get("phase", ""))


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    return [name(obj), _phase(obj), age(obj, now)]


KINDS = (
    Kind(
        "",
        "v1",
        "Namespace",
        "namespaces",
        namespaced=False,
        short_names=("ns",),
        verbs=_VERBS,
        subresources=(Subresource("finalize", ("update",)), STATUS),
        name_rule=label_name,
        fill_defaults=_default,
        on_create=_on_create,
        on_update=_on_update,
        columns=(NAME, text("Status", "Active, or Terminating with all that is in it."), AGE),
        cells=_cells,
        fields=lambda obj: {"status.phase": _phase(obj)},
        field_names=frozenset({"status.phase"}),
    ),
)

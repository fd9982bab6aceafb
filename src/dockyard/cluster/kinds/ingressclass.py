"""IngressClasses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, NONE, age, name, text
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"


def _default(obj: dict[str, Any]) -> None:
    parameters = (obj.get("spec") or {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec") or {}
    controller = spec.get("controller", "")
    if not controller:
        return [field.required("spec.controller")]
    if "/" not in controller:
        return [
            field.invalid(
                "spec.controller",
                controller,
                'must be a domain-prefixed path (such as "acme.io/foo")',
            )
        ]
    parameters = spec.get("parameters")
    if parameters is None:
        return []
    faults = checks.needed(parameters, "spec.parameters", "kind", "name")
    return faults + checks.one_of(
        parameters.get("scope"), "spec.parameters.scope", ("Cluster", "Namespace")
    )


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    return field.immutable(
        "spec.controller",
        (obj.get("spec") or {}).get("controller"),
        (old.get("spec") or {}).get("controller"),
    )


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    found = spec.get("parameters")
    shown = NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
        shown = f"{found.get('kind')}{group}/{found.get('name')}"
    return [name(obj), spec.get("controller", ""), shown, age(obj, now)]


KINDS = (
    Kind(
        "networking.k8s.io",
        "v1",
        "IngressClass",
        "ingressclasses",
        namespaced=False,
        has_generation=True,
        fill_defaults=_default,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Controller", "Who serves it."),
            text("Parameters", "Its settings."),
            AGE,
        ),
        cells=_cells,
    ),
)

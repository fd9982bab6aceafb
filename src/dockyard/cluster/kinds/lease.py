"""Leases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, age, name, text
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta.fielderrors import FieldError


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec") or {}
    faults = checks.positive(spec, "spec", "leaseDurationSeconds")
    return faults + checks.not_negative(spec, "spec", "leaseTransitions")


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    return [name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), age(obj, now)]


KINDS = (
    Kind(
        "coordination.k8s.io",
        "v1",
        "Lease",
        "leases",
        check=_check,
        columns=(NAME, text("Holder", "Who has it."), AGE),
        cells=_cells,
    ),
)

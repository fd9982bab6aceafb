"""ServiceAccounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds.columns import AGE, NAME, age, name, text
from dockyard.cluster.kinds.kind import Kind, Subresource


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    return [name(obj), len(obj.get("secrets") or ()), age(obj, now)]


KINDS = (
    Kind(
        "",
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        short_names=("sa",),
        subresources=(
            Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),
        ),
        columns=(NAME, text("Secrets", "How many secrets it names."), AGE),
        cells=_cells,
    ),
)

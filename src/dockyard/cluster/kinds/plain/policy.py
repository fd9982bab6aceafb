"""Disruption budgets: how many pods may be missing at once."""

from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        short_names=("pdb",),
        subresources=(STATUS,),
        has_generation=True,
        **rows.BUDGET,
    ),
)

"""Priority classes: who goes first, who makes room."""

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        namespaced=False,
        short_names=("pc",),
        **rows.PRIORITY,
    ),
)

"""Kinds of the core group that need no rules of ours."""

from dockyard.cluster.kinds.kind import SCALE, STATUS, Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind("", "v1", "Binding", "bindings", verbs=("create",)),
    Kind(
        "",
        "v1",
        "ComponentStatus",
        "componentstatuses",
        namespaced=False,
        short_names=("cs",),
        verbs=("get", "list"),
    ),
    Kind("", "v1", "LimitRange", "limitranges", short_names=("limits",)),
    Kind("", "v1", "PodTemplate", "podtemplates", has_generation=True, **rows.POD_TEMPLATE),
    Kind(
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        short_names=("rc",),
        categories=("all",),
        subresources=(
            SCALE,
            STATUS,
        ),
        has_generation=True,
        **rows.REPLICATION_CONTROLLER,
    ),
    Kind(
        "",
        "v1",
        "ResourceQuota",
        "resourcequotas",
        short_names=("quota",),
        subresources=(STATUS,),
        **rows.QUOTA,
    ),
)

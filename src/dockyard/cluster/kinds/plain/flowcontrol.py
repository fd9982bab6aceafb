"""Which requests wait for which: flow schemas and priority levels."""

from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "FlowSchema",
        "flowschemas",
        namespaced=False,
        subresources=(STATUS,),
        has_generation=True,
        **rows.FLOW,
    ),
    Kind(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        namespaced=False,
        subresources=(STATUS,),
        has_generation=True,
        **rows.LEVEL,
    ),
)

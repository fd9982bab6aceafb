"""Which requests wait for which: flow schemas and priority levels."""

from dockyard.cluster.kinds.kind import STATUS, Kind

KINDS = (
    Kind(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "FlowSchema",
        "flowschemas",
        namespaced=False,
        subresources=(STATUS,),
        has_generation=True,
    ),
    Kind(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        namespaced=False,
        subresources=(STATUS,),
        has_generation=True,
    ),
)

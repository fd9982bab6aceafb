"""Runtime classes: which runtime runs a pod."""

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False, **rows.RUNTIME),
)

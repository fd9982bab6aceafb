"""Runtime classes: which runtime runs a pod."""

from dockyard.cluster.kinds.kind import Kind

KINDS = (Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False),)

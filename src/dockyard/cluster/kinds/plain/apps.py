"""Revisions of what StatefulSets and DaemonSets run."""

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (Kind("apps", "v1", "ControllerRevision", "controllerrevisions", **rows.REVISION),)

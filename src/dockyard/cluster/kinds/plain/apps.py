"""Revisions of what StatefulSets and DaemonSets run."""

from dockyard.cluster.kinds.kind import Kind

KINDS = (Kind("apps", "v1", "ControllerRevision", "controllerrevisions"),)

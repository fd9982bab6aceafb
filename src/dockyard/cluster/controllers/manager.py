"""The list of all controllers, and how they start."""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.resources import EVENTS
from dockyard.cluster.client.transport import Resource
from dockyard.cluster.controllers.accounts import Accounts
from dockyard.cluster.controllers.common import Context, Controller
from dockyard.cluster.controllers.deployment import Deployments
from dockyard.cluster.controllers.endpoints import EndpointsController
from dockyard.cluster.controllers.garbage import GarbageCollector
from dockyard.cluster.controllers.job import Jobs
from dockyard.cluster.controllers.namespaces import Namespaces
from dockyard.cluster.controllers.nodes import Nodes
from dockyard.cluster.controllers.podgarbage import PodGarbage
from dockyard.cluster.controllers.replicaset import ReplicaSets
from dockyard.cluster.controllers.statefulset import StatefulSets
from dockyard.cluster.controllers.volumes import PersistentVolumes

Kinds = Mapping[tuple[str, str], tuple[Resource, bool]]
"""(apiVersion, kind) -> resource and whether it lives in namespaces, of every stored kind."""


def controllers(context: Context, kinds: Kinds, authority: str) -> dict[str, Controller]:
    """Every controller by name. Made before the informers start: each asks for its own."""
    namespaced = tuple(resource for resource, inside in kinds.values() if inside)
    return {
        "namespace": Namespaces(context, (*namespaced, EVENTS)),
        "serviceaccount": Accounts(context, authority),
        "garbagecollector": GarbageCollector(
            context.speaking_as("garbage-collector-controller"), kinds
        ),
        "endpoints": EndpointsController(context.speaking_as("endpoint-slice-controller")),
        "deployment": Deployments(context.speaking_as("deployment-controller")),
        "replicaset": ReplicaSets(context.speaking_as("replicaset-controller")),
        "statefulset": StatefulSets(context.speaking_as("statefulset-controller")),
        "job": Jobs(context.speaking_as("job-controller")),
        "persistentvolume": PersistentVolumes(context.speaking_as("persistentvolume-controller")),
        "podgarbage": PodGarbage(context.speaking_as("pod-garbage-collector-controller")),
        "node": Nodes(context.speaking_as("node-controller")),
    }


def start(found: Mapping[str, Controller], tasks: Tasks) -> None:
    """Run every controller as a task of its own."""
    for name, controller in found.items():
        tasks.start(controller.run(), name=f"controller {name}", essential=True)

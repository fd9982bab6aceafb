"""Turns results of probes into what a pod's status and plan ask: ready, started, unhealthy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dockyard.cluster.client.transport import Object
from dockyard.interfaces.cri import RUNNING, ContainerStatus

PREFIX = "dockyard://"


@dataclass(slots=True)
class Verdicts:
    """By container id: what probes have found. Without a probe a container that runs is well."""

    ready: dict[str, bool] = field(default_factory=dict)
    started: dict[str, bool] = field(default_factory=dict)
    unhealthy: dict[str, str] = field(default_factory=dict)
    """Which probe has failed as often as it may."""

    def recall(self, pod: Object) -> None:
        """What the pod's status says of containers that run: a kubelet that was started again
        does not take a pod out of its Services."""
        for each in pod.get("status", {}).get("containerStatuses") or ():
            if container_id := each.get("containerID", "").removeprefix(PREFIX):
                self.ready[container_id] = bool(each.get("ready"))
                self.started[container_id] = bool(each.get("started"))

    def is_started(self, spec: Object, container: ContainerStatus | None) -> bool:
        """Whether its startup probe has succeeded."""
        if container is None or container.state != RUNNING:
            return False
        return "startupProbe" not in spec or self.started.get(container.id, False)

    def is_ready(self, spec: Object, container: ContainerStatus | None) -> bool:
        """Whether its Services may send to it."""
        if container is None or not self.is_started(spec, container):
            return False
        return "readinessProbe" not in spec or self.ready.get(container.id, False)

    def forget_all_but(self, ids: Iterable[str]) -> None:
        """Containers that are gone."""
        kept = set(ids)
        for found in (self.ready, self.started, self.unhealthy):
            for container_id in [each for each in found if each not in kept]:
                del found[container_id]

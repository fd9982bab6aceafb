"""Controllers on a turned clock over the real API in memory, and a node that is played."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from dockyard.base.aio import now
from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.boot.workers import stored_kinds
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.mutations import MutationDetector
from dockyard.cluster.client.resources import EVENTS, PODS
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.controllers import manager
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta.errors import NotFound
from dockyard.cluster.meta.jsonvalues import copied
from helpers.apiserver import ApiServer, serving


class Cluster:
    """What a test does and sees as a user of the API."""

    def __init__(self, server: ApiServer, clock: TurnableClock, tasks: Tasks, place: Path) -> None:
        self.server, self.clock, self._tasks, self.place = server, clock, tasks, place
        self.client: Client = server.client

    async def settle(self) -> None:
        await self.clock.settle()

    async def create(self, resource: Resource, obj: Object) -> Object:
        made = await self.client.create(resource, {**obj, "metadata": _placed(resource, obj)})
        await self.settle()
        return made

    async def get(self, resource: Resource, name: str, namespace: str = "default") -> Any:
        where = "" if resource.plural in ("nodes", "persistentvolumes", "namespaces") else namespace
        return copied(await self.client.get(resource, name, where))

    async def is_gone(self, resource: Resource, name: str, namespace: str = "default") -> bool:
        try:
            await self.get(resource, name, namespace)
        except NotFound:
            return True
        return False

    async def list(self, resource: Resource, namespace: str = "default") -> list[Any]:
        found, _ = await self.client.list(resource, namespace)
        return [copied(each) for each in found]

    async def patch(self, resource: Resource, name: str, patch: Any, sub: str = "") -> None:
        where = "" if resource.plural in ("nodes", "persistentvolumes") else "default"
        await self.client.patch(resource, name, patch, where, sub)
        await self.settle()

    async def delete(self, resource: Resource, name: str, **options: Any) -> None:
        where = "" if resource.plural in ("nodes", "persistentvolumes", "namespaces") else "default"
        await self.client.delete(resource, name, where, **options)
        await self.settle()

    async def events(self, name: str) -> list[tuple[str, str, str]]:
        """(type, reason, message) of what was said of an object, the oldest first."""
        found, _ = await self.client.list(EVENTS)
        mine = [each for each in found if each["involvedObject"]["name"] == name]
        mine.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [(each["type"], each["reason"], each["message"]) for each in mine]

    # a kubelet, played

    async def pods(self, **labels: str) -> list[Any]:
        """Pods that are not on their way out, by name."""
        found = [each for each in await self.list(PODS)
                 if labels.items() <= (each["metadata"].get("labels") or {}).items()]  # fmt: skip
        return sorted((each for each in found if "deletionTimestamp" not in each["metadata"]),
                      key=lambda each: str(each["metadata"]["name"]))  # fmt: skip

    async def names(self, **labels: str) -> list[str]:
        return [each["metadata"]["name"] for each in await self.pods(**labels)]

    async def place_pod(self, name: str, node: str = "n1") -> None:
        await self.client.create(
            PODS, {"metadata": {"name": name, "namespace": "default"}, "target": {"name": node}},
            subresource="binding",
        )  # fmt: skip

    async def say(self, name: str, phase: str, ready: bool | None = None, **more: Any) -> None:
        """A pod's status, as its kubelet writes it."""
        ready = phase == "Running" if ready is None else ready
        pod = await self.get(PODS, name)
        before = {each["type"]: each for each in pod["status"].get("conditions") or ()}
        status = "True" if ready else "False"
        known = before.get("Ready", {})
        stamp = now.stamp(self.clock.time())
        since = known.get("lastTransitionTime") if known.get("status") == status else stamp
        condition = {"type": "Ready", "status": status, "lastTransitionTime": since}
        patch = {"status": {"phase": phase, "conditions": [condition], **more}}
        await self.client.patch(PODS, name, patch, "default", "status")

    async def run_pods(self, names: Iterable[str] | None = None, **labels: str) -> None:
        """Those pods (or all) are Running and Ready."""
        chosen = await self.names(**labels) if names is None else list(names)
        for name in chosen:
            try:
                pod = await self.get(PODS, name)
                if pod["status"].get("phase") != "Running":
                    await self.say(name, "Running")
            except NotFound:
                continue  # what follows from the ones before has taken it away
        await self.settle()

    async def end_pods(self) -> None:
        """Kubelets finish what is being deleted."""
        for pod in await self.list(PODS):
            if "deletionTimestamp" in pod["metadata"]:
                metadata = pod["metadata"]
                await self.client.delete(
                    PODS, metadata["name"], "default", uid=metadata["uid"], grace=0
                )
        await self.settle()


def _placed(resource: Resource, obj: Object) -> dict[str, Any]:
    metadata = dict(obj.get("metadata", {}))
    kind = registry().resource(*resource)
    if kind is not None and kind.namespaced:
        metadata.setdefault("namespace", "default")
    return metadata


def with_controllers(
    tmp_path: Path, names: Iterable[str], test: Callable[[Cluster], Awaitable[None]]
) -> None:
    """Run a test beside an API and the named controllers."""
    clock = TurnableClock()
    wanted = set(names)

    async def main() -> None:
        async with serving(tmp_path / "api", clock) as server, Tasks() as tasks:
            detector = MutationDetector()
            informers = Informers(server.client, clock, detector.handed_out)
            recorder = Recorder(server.client, clock, "test")
            context = Context(server.client, informers, clock, recorder, str(tmp_path / "local"))
            kinds = stored_kinds(server.plane.service.operations.registry)
            made = manager.controllers(context, kinds, "authority")
            assert wanted <= made.keys()
            informers.start(tasks)
            manager.start({name: each for name, each in made.items() if name in wanted}, tasks)
            await clock.settle()
            await test(Cluster(server, clock, tasks, tmp_path))
            detector.check()

    run_turnable(clock, main())

"""A whole kubelet on a turned clock: the real API in memory above it, a fake runtime below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.mutations import MutationDetector
from dockyard.cluster.client.resources import EVENTS, NODES, PODS
from dockyard.cluster.client.transport import Object, Request, Transport, WatchEvent
from dockyard.cluster.kubelet.kubelet import Kubelet
from dockyard.cluster.kubelet.sandboxconfig import Dns
from dockyard.cluster.meta.errors import NotFound
from dockyard.cluster.meta.jsonvalues import copied
from dockyard.interfaces.cri import DnsConfig
from helpers.apiserver import ApiServer, serving
from helpers.fakecri import FakeCri

NODE, ADDRESS = "node-1", "192.0.2.1"
DNS = Dns("10.96.0.10", "cluster.local", DnsConfig(("192.0.2.53",), ("example.org",)))


class Line:
    """The kubelet's way to the API, which can be cut."""

    def __init__(self, to: Transport) -> None:
        self._to = to
        self._cut = asyncio.Event()
        self.requests: list[Request] = []

    def cut(self) -> None:
        """Nobody answers, and watches end."""
        self._cut.set()

    def mend(self) -> None:
        self._cut.clear()

    def _check(self) -> None:
        if self._cut.is_set():
            raise Unavailable("api: connection refused")

    async def call(self, request: Request) -> Object:
        self._check()
        self.requests.append(request)
        return await self._to.call(request)

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        self._check()
        events = aiter(self._to.watch(request))
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            while True:
                following = asyncio.ensure_future(anext(events))
                try:
                    await asyncio.wait((following, cut), return_when=asyncio.FIRST_COMPLETED)
                    self._check()
                    yield following.result()
                finally:
                    following.cancel()
                    await asyncio.wait((following,))
        finally:
            cut.cancel()

    async def close(self) -> None: ...


class Place:
    """One node and its API."""

    def __init__(self, server: ApiServer, clock: TurnableClock, folder: Path) -> None:
        self.line = Line(server.local)
        self.client: Client = server.client
        self.clock, self.folder = clock, folder
        self.cri = FakeCri(clock)
        self.cri.have("nginx:1")

    @property
    def pods_folder(self) -> Path:
        return self.folder / "pods"

    @asynccontextmanager
    async def kubelet(self) -> AsyncIterator[Kubelet]:
        """A kubelet; leaving the block throws it away, and its runtime goes on."""
        detector = MutationDetector()
        client = Client(self.line)
        informers = Informers(client, self.clock, detector.handed_out)
        kubelet = Kubelet(
            client, informers, self.cri, self.cri, self.clock, node=NODE, address=ADDRESS,
            dns=DNS, pods_folder=self.pods_folder, memory_folder=self.folder / "memory",
        )  # fmt: skip
        async with Tasks() as tasks:
            informers.start(tasks)
            tasks.start(kubelet.run(), name="kubelet", essential=True)
            await self.clock.settle()
            yield kubelet
        detector.check()

    # the API's side

    async def create(self, name: str = "web", **spec: Any) -> Object:
        """A pod on this node, and what follows from it at once."""
        labels = spec.pop("labels", {"app": name})
        annotations = spec.pop("annotations", {})
        spec.setdefault("containers", [{"name": "c", "image": "nginx:1"}])
        metadata = {"name": name, "namespace": "default", "labels": labels,
                    "annotations": annotations}  # fmt: skip
        made = await self.client.create(
            PODS, {"metadata": metadata, "spec": {"nodeName": NODE, **spec}}
        )
        await self.clock.settle()
        return made

    async def pod(self, name: str = "web") -> dict[str, Any]:
        found: dict[str, Any] = copied(await self.client.get(PODS, name, "default"))
        return found

    async def is_gone(self, name: str = "web") -> bool:
        try:
            await self.pod(name)
        except NotFound:
            return True
        return False

    async def status(self, name: str = "web") -> dict[str, Any]:
        found: dict[str, Any] = (await self.pod(name))["status"]
        return found

    async def state(self, name: str = "web", container: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = (await self.status(name))["containerStatuses"][container]["state"]
        return found

    async def waits(self, name: str = "web", container: int = 0) -> tuple[str, str]:
        """(reason, message) of a container that waits."""
        found = (await self.state(name, container))["waiting"]
        return found["reason"], found.get("message", "")

    async def conditions(self, name: str = "web") -> dict[str, str]:
        return {each["type"]: each["status"] for each in (await self.status(name))["conditions"]}

    async def restarts(self, name: str = "web") -> int:
        return int((await self.status(name))["containerStatuses"][0]["restartCount"])

    async def delete(self, name: str = "web", grace: int | None = None) -> None:
        await self.client.delete(PODS, name, "default", grace=grace)
        await self.clock.settle()

    async def events(self, name: str = "web") -> list[tuple[str, str, str]]:
        """(type, reason, message), the oldest first."""
        found, _ = await self.client.list(EVENTS, "default")
        mine = [each for each in found if each["involvedObject"]["name"] == name]
        mine.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [(each["type"], each["reason"], each["message"]) for each in mine]

    async def reasons(self, name: str = "web") -> list[str]:
        return [reason for _, reason, _ in await self.events(name)]


def on_a_node(tmp_path: Path, test: Callable[[Place], Awaitable[None]]) -> None:
    """Run a test beside an API; it starts kubelets itself."""
    clock = TurnableClock()

    async def main() -> None:
        async with serving(tmp_path / "api", clock) as server:
            await server.client.create(NODES, {"metadata": {"name": NODE}, "spec": {}})
            await test(Place(server, clock, tmp_path))

    run_turnable(clock, main())


def with_kubelet(tmp_path: Path, test: Callable[[Place], Awaitable[None]]) -> None:
    """Run a test beside an API and a kubelet."""

    async def main(place: Place) -> None:
        async with place.kubelet():
            await test(place)

    on_a_node(tmp_path, main)

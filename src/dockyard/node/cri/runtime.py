"""Turns the CRI's calls into the engine's: a sandbox is a paused container with an address.

The engine is synchronous, so each call runs in a thread; exits are noticed at once, by a pidfd that
the event loop watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.queues import Channel
from dockyard.base.errors import Conflict, DockyardError, NotFound
from dockyard.base.version import VERSION
from dockyard.interfaces import cni, cri
from dockyard.interfaces.ociruntime import STDOUT, StartFailed
from dockyard.node.cri import translate
from dockyard.node.engine.config import Container
from dockyard.node.engine.engine import Engine
from dockyard.node.engine.processes import Command

T = TypeVar("T")
OWNER = "cri"
THREADS = 16
LARGEST_OUTPUT = 16 * 1024


class CriRuntime:
    """:class:`dockyard.interfaces.cri.RuntimeService` over an engine and a pod network."""

    def __init__(self, engine: Engine, network: cni.Network, state: str, clock: Clock) -> None:
        """``state``: a folder for the files of /etc that a pod's containers share."""
        self._engine, self._network = engine, network
        self._state, self._clock = state, clock
        self._threads = ThreadPoolExecutor(THREADS, "cri")
        self._events: Channel[cri.ContainerStatus] = Channel()
        self._watched: dict[str, int] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def _call(self, work: Callable[[], T]) -> T:
        with self._clock.busy():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def start(self) -> None:
        """Find what ran before: nothing is started again, and exits are noticed."""
        await self._call(self._network.prepare)
        await self._call(self._engine.reconcile)
        for container in await self._call(self._own):
            if container.status == "running" and not translate.is_sandbox(container):
                self._watch(container)

    def _own(self) -> list[Container]:
        return [each for each in self._engine.list() if each.owner == OWNER]

    # sandboxes

    async def run_pod_sandbox(self, config: cri.PodSandboxConfig) -> str:
        def run() -> str:
            os.makedirs(config.log_directory, 0o755, exist_ok=True)
            made = self._engine.create(translate.sandbox(config), owner=OWNER)
            try:
                self._engine.start(made.id)
                address = ""
                if not config.host_network:
                    pid = self._engine.find(made.id).pid
                    address = self._network.add(made.id, pid).address
                translate.write_etc(self._etc(made.id), config, address)
            except BaseException:
                self._remove(made.id)
                raise
            return made.id

        return await self._call(run)

    def _etc(self, sandbox_id: str) -> str:
        return os.path.join(self._state, sandbox_id)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        def stop() -> None:
            for each in self._own():
                if translate.sandbox_of(each) == sandbox_id and each.status == "running":
                    self._engine.stop(each.id, 0)
            try:
                self._engine.stop(sandbox_id, 0)
            except NotFound:
                return
            finally:
                self._network.delete(sandbox_id)

        await self._call(stop)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)

        def remove() -> None:
            for each in self._own():
                if translate.sandbox_of(each) == sandbox_id:
                    self._engine.remove(each.id, force=True)
            self._remove(sandbox_id)

        await self._call(remove)

    def _remove(self, sandbox_id: str) -> None:
        self._network.delete(sandbox_id)
        with contextlib.suppress(NotFound):
            self._engine.remove(sandbox_id, force=True)
        translate.remove_etc(self._etc(sandbox_id))

    async def list_pod_sandbox(self) -> list[cri.PodSandboxStatus]:
        def look() -> list[cri.PodSandboxStatus]:
            return [
                translate.sandbox_status(each, self._network.address(each.id))
                for each in self._own()
                if translate.is_sandbox(each)
            ]

        return await self._call(look)

    # containers

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox: cri.PodSandboxConfig
    ) -> str:
        made = translate.container(config, sandbox, sandbox_id, self._etc(sandbox_id))
        return (await self._call(lambda: self._engine.create(made, owner=OWNER))).id

    async def start_container(self, container_id: str) -> None:
        def start() -> Container:
            self._engine.start(container_id)
            return self._engine.find(container_id)

        try:
            self._watch(await self._call(start))
        except StartFailed as error:
            raise cri.StartFailed(str(error)) from error

    async def stop_container(self, container_id: str, grace: float) -> None:
        def stop() -> None:
            try:
                self._engine.stop(container_id, grace)
            except NotFound:
                return

        await self._call(stop)

    async def remove_container(self, container_id: str) -> None:
        def remove() -> None:
            try:
                self._engine.remove(container_id, force=True)
            except NotFound:
                return

        await self._call(remove)

    async def list_containers(self) -> list[cri.ContainerStatus]:
        found = await self._call(self._own)
        return [translate.container_status(c) for c in found if not translate.is_sandbox(c)]

    async def container_status(self, container_id: str) -> cri.ContainerStatus:
        return translate.container_status(await self._call(lambda: self._engine.find(container_id)))

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], seconds: float
    ) -> cri.ExecResult:
        def run() -> cri.ExecResult:
            stream = self._engine.exec(container_id, Command(command))
            out, err = bytearray(), bytearray()
            try:
                while (frame := stream.read()) is not None:
                    kept = out if frame.stream == STDOUT else err
                    kept += frame.data[: LARGEST_OUTPUT - len(kept)]
                return cri.ExecResult(bytes(out), bytes(err), stream.exit_code() or 0)
            finally:
                stream.close()

        try:
            async with self._clock.timeout(seconds or None):
                return await self._call(run)
        except StartFailed as error:
            return cri.ExecResult(b"", str(error).encode(), error.exit_code)
        except Conflict as error:
            return cri.ExecResult(b"", str(error).encode(), 1)

    async def version(self) -> tuple[str, str]:
        return "dockyard", VERSION

    # exits

    def _watch(self, container: Container) -> None:
        """Tell of a container's end as soon as its first process ends."""
        if container.id in self._watched:
            return
        loop = asyncio.get_running_loop()
        try:
            pidfd = os.pidfd_open(container.pid) if container.pid else -1
        except ProcessLookupError:
            pidfd = -1
        if pidfd < 0:
            self._tell(container.id)
            return
        self._watched[container.id] = pidfd

        def readable() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._watched.pop(container.id, None)
            self._tell(container.id)

        loop.add_reader(pidfd, readable)

    def _tell(self, container_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._ended(container_id))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _ended(self, container_id: str) -> None:
        """Its monitor writes down how; then the event goes out."""

        def wait() -> Container | None:
            try:
                return self._engine.wait(container_id, 10)
            except DockyardError:
                return None

        if found := await self._call(wait):
            self._events.put(translate.container_status(found))

    async def get_container_events(self) -> AsyncIterator[cri.ContainerStatus]:
        async for event in self._events:
            yield event

    def close(self) -> None:
        """Let go of descriptors and threads; containers go on."""
        loop = asyncio.get_running_loop()
        for pidfd in self._watched.values():
            loop.remove_reader(pidfd)
            os.close(pidfd)
        self._watched.clear()
        self._events.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

"""Turns the CRI's calls into the engine's: a sandbox is a paused container with an address.

The engine is synchronous, so each call runs in a thread; exits are noticed at once, by a pidfd that
the event loop watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.queues import Channel
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Conflict, DockyardError, NotFound, Unavailable, Unsupported
from dockyard.base.version import VERSION
from dockyard.interfaces import cni, cri
from dockyard.interfaces.ociruntime import StartFailed, Stream
from dockyard.node.cri import etcfiles, portforward, pump, stats, translate
from dockyard.node.cri.exits import Exits
from dockyard.node.cri.streaming import StreamingServer
from dockyard.node.cri.threads import Threads
from dockyard.node.engine.config import Container
from dockyard.node.engine.end import signal_number
from dockyard.node.engine.engine import Engine
from dockyard.node.engine.processes import Command

OWNER = "cri"
LARGEST_OUTPUT = 16 * 1024 * 1024
"""Of a command that is waited for; the CRI's own bound."""
SECONDS_TO_DIE = 10.0
MOST_EVENTS = 4096


class CriRuntime:
    """:class:`dockyard.interfaces.cri.RuntimeService` over an engine and a pod network."""

    def __init__(self, engine: Engine, network: cni.Network, state: str, clock: Clock) -> None:
        """``state``: a folder for the files of /etc that a pod's containers share."""
        self._engine, self._network = engine, network
        self._state, self._clock = state, clock
        self._threads = Threads(clock)
        self._exits = Exits(self._ended)
        self._streaming = StreamingServer(self._threads, clock)
        self._listeners: set[Channel[cri.ContainerEvent]] = set()
        self._tasks = Tasks()
        self._members: dict[str, translate.Member] = {}

    async def start(self) -> None:
        """Find what ran before: nothing is started again, and exits are noticed."""
        await self._tasks.__aenter__()
        await self._streaming.start()

        def look() -> list[Container]:
            self._network.prepare()
            self._engine.reconcile()
            own = self._own()
            self._network.gc(lambda: {each.id for each in self._own()})
            return own

        for each in await self._threads.call(look):
            if each.alive:
                self._watch(each)

    async def close(self) -> None:
        """Let go of descriptors, tasks and threads; containers go on."""
        await self._tasks.close()
        self._exits.close()
        self._streaming.close()
        for channel in self._listeners:
            channel.close()
        self._threads.close()

    async def version(self) -> tuple[str, str]:
        return "dockyard", VERSION

    async def status(self) -> tuple[cri.RuntimeCondition, ...]:
        try:
            await self._threads.call(self._network.prepare)
        except (DockyardError, OSError) as error:
            network = cri.RuntimeCondition("NetworkReady", False, "NetworkNotReady", str(error))
        else:
            network = cri.RuntimeCondition("NetworkReady", True)
        return cri.RuntimeCondition("RuntimeReady", True), network

    def _own(self, pod_uid: str = "", sandbox_id: str = "") -> list[Container]:
        """Our containers, as they are now; of one pod or sandbox, if one is named."""

        def keep(each: Container) -> bool:
            if each.owner != OWNER:
                return False
            who = translate.member(each)
            return pod_uid in ("", who.pod_uid) and sandbox_id in ("", who.sandbox_id)

        return self._engine.list(keep)

    # sandboxes

    async def run_pod_sandbox(self, config: cri.PodSandboxConfig) -> str:
        def run() -> Container:
            os.makedirs(config.log_directory, 0o755, exist_ok=True)
            made, _ = self._engine.run(translate.sandbox(config), owner=OWNER)
            try:
                found = self._engine.find(made.id)
                address = ""
                if not config.host_network:
                    ports = translate.ports(config)
                    address = self._network.add(made.id, found.pid, ports).address
                etcfiles.write(self._etc(made.id), config, address)
            except BaseException:
                self._remove_sandbox(made.id)
                raise
            return found

        try:
            made = await self._threads.call(run)
        except (DockyardError, OSError) as error:
            raise cri.SandboxFailed(str(error)) from error
        self._watch(made)
        self._tell(made.id, cri.STARTED_EVENT, translate.member(made))
        return made.id

    def _etc(self, sandbox_id: str) -> str:
        return os.path.join(self._state, sandbox_id)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        def stop() -> None:
            for each in self._own(sandbox_id=sandbox_id):
                if each.alive:
                    with contextlib.suppress(NotFound):
                        self._engine.stop(each.id, 0)
            self._network.delete(sandbox_id)

        await self._threads.call(stop)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self._threads.call(lambda: self._remove_sandbox(sandbox_id))

    def _remove_sandbox(self, sandbox_id: str) -> None:
        """Its members first: one that is cut off is done again."""
        for each in sorted(
            self._own(sandbox_id=sandbox_id), key=lambda each: each.id == sandbox_id
        ):
            if each.id == sandbox_id:
                self._network.delete(sandbox_id)
            with contextlib.suppress(NotFound):
                self._engine.remove(each.id, force=True)
        self._network.delete(sandbox_id)
        etcfiles.remove(self._etc(sandbox_id))

    async def pod_sandbox_status(self, sandbox_id: str) -> cri.PodSandboxStatus:
        return await self._threads.call(lambda: self._sandbox(self._engine.find(sandbox_id)))

    async def list_pod_sandbox(self, pod_uid: str = "") -> list[cri.PodSandboxStatus]:
        def look() -> list[cri.PodSandboxStatus]:
            own = self._own(pod_uid)
            return [self._sandbox(each) for each in own if translate.member(each).is_sandbox]

        return await self._threads.call(look)

    def _sandbox(self, found: Container) -> cri.PodSandboxStatus:
        return translate.sandbox_status(found, self._network.address(found.id))

    # containers

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox: cri.PodSandboxConfig
    ) -> str:
        def create() -> Container:
            made = translate.container(config, sandbox, sandbox_id, self._etc(sandbox_id))
            if config.log_path:
                folder = os.path.dirname(os.path.join(sandbox.log_directory, config.log_path))
                os.makedirs(folder, 0o755, exist_ok=True)
            return self._engine.create(made, owner=OWNER)

        try:
            made = await self._threads.call(create)
        except (DockyardError, OSError) as error:
            raise cri.CreateFailed(str(error)) from error
        self._tell(made.id, cri.CREATED_EVENT, translate.member(made))
        return made.id

    async def start_container(self, container_id: str) -> None:
        def start() -> Container:
            self._engine.start(container_id)
            return self._engine.find(container_id)

        try:
            started = await self._threads.call(start)
        except StartFailed as error:
            raise cri.StartFailed(str(error), error.exit_code) from error
        self._watch(started)
        self._tell(container_id, cri.STARTED_EVENT, translate.member(started))

    async def stop_container(self, container_id: str, grace: float) -> None:
        """The grace is waited for here, not in a thread: many may take long at once."""
        try:
            found = await self._threads.call(lambda: self._engine.find(container_id))
        except NotFound:
            return
        if not found.alive:
            return
        over = self._watch(found)
        number = signal_number(found.config.stop_signal or "SIGTERM")
        if grace > 0 and await self._signal(container_id, number):
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(grace):
                    await over.wait()
        if not over.is_set() and await self._signal(container_id, signal.SIGKILL):
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(SECONDS_TO_DIE):
                    await over.wait()
        await self._threads.call(lambda: self._engine.wait(container_id, SECONDS_TO_DIE))

    async def _signal(self, container_id: str, number: int) -> bool:
        """False: it has ended meanwhile."""
        try:
            await self._threads.call(lambda: self._engine.kill(container_id, number))
        except (Conflict, NotFound, Unavailable):
            return False
        return True

    async def remove_container(self, container_id: str) -> None:
        def remove() -> Container | None:
            try:
                found = self._engine.find(container_id)
                self._engine.remove(container_id, force=True)
            except NotFound:
                return None
            return found

        if removed := await self._threads.call(remove):
            self._tell(container_id, cri.DELETED_EVENT, translate.member(removed))

    async def list_containers(self, pod_uid: str = "") -> list[cri.ContainerStatus]:
        found = await self._threads.call(lambda: self._own(pod_uid))
        return [
            translate.container_status(each)
            for each in found
            if not translate.member(each).is_sandbox
        ]

    async def container_status(self, container_id: str) -> cri.ContainerStatus:
        found = await self._threads.call(lambda: self._engine.find(container_id))
        return translate.container_status(found)

    async def update_container_resources(
        self, container_id: str, resources: cri.LinuxResources
    ) -> None:
        raise Unsupported(f"container {container_id[:12]}: resize of resources: not implemented")

    async def reopen_container_log(self, container_id: str) -> None:
        await self._threads.call(lambda: self._engine.reopen_log(container_id))

    async def container_stats(self, container_id: str) -> cri.ContainerStats:
        def look() -> cri.ContainerStats:
            return self._stats(self._engine.find(container_id))

        return await self._threads.call(look)

    async def list_container_stats(self) -> list[cri.ContainerStats]:
        def look() -> list[cri.ContainerStats]:
            return [self._stats(each) for each in self._own()
                    if each.alive and not translate.member(each).is_sandbox]  # fmt: skip

        return await self._threads.call(look)

    def _stats(self, found: Container) -> cri.ContainerStats:
        places, status = self._engine.places, translate.container_status(found)
        cpu, working_set, rss = stats.usage(places.cgroup(found.id))
        upper = places.upper(found.id)
        written = stats.tree_usage(upper)[0] if os.path.isdir(upper) else 0
        return cri.ContainerStats(found.id, status.pod_uid, status.name, self._clock.time(),
                                  cpu, working_set, rss, written)  # fmt: skip

    # commands and streams

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], seconds: float
    ) -> cri.ExecResult:
        wanted = Command(command)
        try:
            stream = await self._threads.call(lambda: self._engine.exec(container_id, wanted))
        except StartFailed as error:
            return cri.ExecResult(b"", str(error).encode(), error.exit_code)
        try:
            async with self._clock.timeout(seconds or None):
                out, err = await pump.collect(stream, self._threads, LARGEST_OUTPUT)
        except TimeoutError:
            with contextlib.suppress(OSError):
                await self._threads.stream(lambda: stream.signal(signal.SIGKILL))
            raise
        finally:
            stream.close()
        code = stream.exit_code()
        if code is None:
            raise Unavailable(f"container {container_id[:12]}: it ended while a command ran in it")
        return cri.ExecResult(out, err, code)

    async def exec(
        self, container_id: str, command: tuple[str, ...], options: cri.StreamOptions
    ) -> str:
        await self._running(container_id)
        wanted = Command(command, terminal=options.tty, stdin=options.stdin)

        def begin(size: tuple[int, int] | None) -> Stream:
            return self._engine.exec(container_id, wanted._replace(size=size))

        return self._streaming.url("exec", begin, options)

    async def attach(self, container_id: str, options: cri.StreamOptions) -> str:
        found = await self._running(container_id)
        options = cri.StreamOptions(options.stdin and found.config.open_stdin, options.stdout,
                                    options.stderr, found.config.terminal)  # fmt: skip

        def begin(size: tuple[int, int] | None) -> Stream:
            stream = self._engine.attach(container_id)
            if size is not None:
                stream.resize(*size)
            return stream

        return self._streaming.url("attach", begin, options)

    async def _running(self, container_id: str) -> Container:
        found = await self._threads.call(lambda: self._engine.find(container_id))
        if not found.alive:
            raise Conflict(f"container {container_id[:12]}: it is not running")
        return found

    async def port_forward(self, sandbox_id: str, ports: tuple[int, ...]) -> str:
        found = await self._running(sandbox_id)

        async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            sockets = await self._threads.call(lambda: portforward.sockets_in(found.pid))
            return await portforward.connect(sockets, port)

        return self._streaming.forward_url(connect, ports, sandbox_id[:12])

    # events

    def _watch(self, container: Container) -> asyncio.Event:
        self._members[container.id] = translate.member(container)
        return self._exits.watch(container.id, container.pid)

    def _ended(self, container_id: str) -> None:
        self._tasks.start(self._tell_end(container_id), name=f"end of {container_id[:12]}")

    async def _tell_end(self, container_id: str) -> None:
        """Its monitor writes down how; then the event goes out."""
        with contextlib.suppress(DockyardError):
            await self._threads.call(lambda: self._engine.wait(container_id, SECONDS_TO_DIE))
        if member := self._members.pop(container_id, None):
            self._tell(container_id, cri.STOPPED_EVENT, member)

    def _tell(self, container_id: str, kind: str, member: translate.Member) -> None:
        event = cri.ContainerEvent(container_id, kind, self._clock.time(), member.pod_uid)
        for channel in self._listeners:
            if len(channel) >= MOST_EVENTS:  # one that does not listen asks for a list some day
                channel.drain()
            channel.put(event)

    async def get_container_events(self) -> AsyncIterator[cri.ContainerEvent]:
        channel: Channel[cri.ContainerEvent] = Channel()
        self._listeners.add(channel)
        try:
            async for event in channel:
                yield event
        finally:
            self._listeners.discard(channel)

"""A container runtime without containers: the CRI's calls, kept in memory, on a test's clock."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.queues import Channel
from dockyard.base.errors import NotFound
from dockyard.interfaces import cri


class FakeCri:
    """Runtime and images at once. It outlives the kubelets that use it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sandboxes: dict[str, cri.PodSandboxStatus] = {}
        self.containers: dict[str, cri.ContainerStatus] = {}
        self.configs: dict[str, cri.ContainerConfig] = {}
        self.sandbox_configs: dict[str, cri.PodSandboxConfig] = {}
        self.calls: list[str] = []
        """What was done, in order: ``start web/0``."""
        self.pulls: list[str] = []
        self.images: dict[str, cri.Image] = {}
        self.registry: dict[str, cri.Image | Exception] = {}
        self.shown: list[cri.AuthConfig | None] = []
        """As whom each pull was made."""
        self.guarded: dict[str, str] = {}
        """Image -> the user who may pull it."""
        self.pull_seconds: dict[str, float] = {}
        self.stubborn: set[str] = set()
        """Containers that ignore their stop signal."""
        self.last_words: dict[str, int] = {}
        """Exit codes after the stop signal; 143 where nothing else is said."""
        self.failing: dict[str, Exception] = {}
        """Call -> what it raises."""
        self.answers: dict[tuple[str, ...], cri.ExecResult | Exception] = {}
        self.takes: dict[tuple[str, ...], float] = {}
        self.executed: list[tuple[float, str, tuple[str, ...]]] = []
        self.conditions: tuple[cri.RuntimeCondition, ...] = (
            cri.RuntimeCondition("RuntimeReady", True), cri.RuntimeCondition("NetworkReady", True),
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self._listeners: list[Channel[cri.ContainerEvent]] = []

    # for tests

    def have(self, name: str, user: str = "") -> None:
        """An image that is on the node."""
        self.images[name] = cri.Image(f"sha256:{name}", (name,), (), 1000, user)

    def running(self) -> list[str]:
        """``name/attempt`` of every container that runs."""
        return sorted(f"{each.name}/{each.attempt}" for each in self.containers.values()
                      if each.state == cri.RUNNING)  # fmt: skip

    def newest(self, name: str) -> cri.ContainerStatus:
        found = [each for each in self.containers.values() if each.name == name]
        return max(found, key=lambda each: each.attempt)

    def exit(self, name: str, code: int, reason: str = "", message: str = "") -> None:
        """The newest container of that name ends by itself."""
        self._exit(self.newest(name).id, code, reason, message)

    def sandbox_dies(self) -> None:
        """Every sandbox goes down, as after a reboot."""
        for each in list(self.containers.values()):
            if each.state == cri.RUNNING:
                self._exit(each.id, 137)
        for key, sandbox in self.sandboxes.items():
            self.sandboxes[key] = replace(sandbox, state=cri.NOT_READY, ip="")

    def lose_everything(self) -> None:
        """The runtime's memory is gone, with all that ran."""
        self.sandboxes.clear()
        self.containers.clear()

    def _exit(self, container_id: str, code: int, reason: str = "", message: str = "") -> None:
        found = self.containers[container_id]
        if found.state != cri.RUNNING:
            return
        self.containers[container_id] = replace(
            found, state=cri.EXITED, exit_code=code, finished_at=self._clock.time(),
            reason=reason or ("Error" if code else "Completed"), message=message,
        )  # fmt: skip
        self._tell(found, cri.STOPPED_EVENT)

    def _tell(self, found: cri.ContainerStatus, kind: str) -> None:
        for channel in self._listeners:
            channel.put(cri.ContainerEvent(found.id, kind, self._clock.time(), found.pod_uid))

    def _fail(self, call: str) -> None:
        if call in self.failing:
            raise self.failing[call]

    # the runtime

    async def version(self) -> tuple[str, str]:
        return "fake", "1.0"

    async def status(self) -> tuple[cri.RuntimeCondition, ...]:
        self._fail("status")
        return self.conditions

    async def run_pod_sandbox(self, config: cri.PodSandboxConfig) -> str:
        self.calls.append(f"sandbox {config.name}/{config.attempt}")
        self._fail("sandbox")
        number = next(self._numbers)
        key = f"s{number:012}"
        self.sandbox_configs[key] = config
        self.sandboxes[key] = cri.PodSandboxStatus(
            key, config.name, config.namespace, config.uid, config.attempt, cri.READY,
            self._clock.time(), f"10.0.0.{number}",
        )  # fmt: skip
        return key

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        self.calls.append(f"stop sandbox {self.sandboxes[sandbox_id].attempt}")
        for each in list(self.containers.values()):
            if each.sandbox_id == sandbox_id:
                self._exit(each.id, 137)
        self.sandboxes[sandbox_id] = replace(self.sandboxes[sandbox_id], state=cri.NOT_READY, ip="")

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        found = self.sandboxes.pop(sandbox_id, None)
        if found is None:
            return
        self.calls.append(f"remove sandbox {found.attempt}")
        for each in [each for each in self.containers.values() if each.sandbox_id == sandbox_id]:
            del self.containers[each.id]

    async def pod_sandbox_status(self, sandbox_id: str) -> cri.PodSandboxStatus:
        if sandbox_id not in self.sandboxes:
            raise NotFound(f"sandbox {sandbox_id}: not found")
        return self.sandboxes[sandbox_id]

    async def list_pod_sandbox(self, pod_uid: str = "") -> list[cri.PodSandboxStatus]:
        self._fail("list")
        return [each for each in self.sandboxes.values() if pod_uid in ("", each.uid)]

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox: cri.PodSandboxConfig
    ) -> str:
        self._fail("create")
        key = f"c{next(self._numbers):012}"
        self.configs[key] = config
        self.containers[key] = cri.ContainerStatus(
            id=key, sandbox_id=sandbox_id, pod_uid=sandbox.uid, name=config.name,
            attempt=config.attempt, state=cri.CREATED, created_at=self._clock.time(),
            started_at=0.0, finished_at=0.0, exit_code=0, reason="", message="",
            image=config.image, image_ref=f"sha256:{config.image}",
            log_path=f"{sandbox.log_directory}/{config.log_path}",
            labels=config.labels, annotations=config.annotations,
        )  # fmt: skip
        return key

    async def start_container(self, container_id: str) -> None:
        found = self.containers[container_id]
        self.calls.append(f"start {found.name}/{found.attempt}")
        now = self._clock.time()
        if "start" in self.failing:
            error = self.failing["start"]
            code = error.exit_code if isinstance(error, cri.StartFailed) else 128
            self.containers[container_id] = replace(
                found, state=cri.EXITED, exit_code=code, reason="StartError",
                message=str(error), finished_at=now,
            )  # fmt: skip
            raise error
        self.containers[container_id] = replace(found, state=cri.RUNNING, started_at=now)
        self._tell(found, cri.STARTED_EVENT)

    async def stop_container(self, container_id: str, grace: float) -> None:
        found = self.containers.get(container_id)
        if found is None or found.state != cri.RUNNING:
            return
        self.calls.append(f"stop {found.name}/{found.attempt} {grace:g}")
        self._fail("stop")
        if found.name in self.stubborn:
            await self._clock.sleep(grace)
            self._exit(container_id, 137)
        else:
            self._exit(container_id, self.last_words.get(found.name, 143))

    async def remove_container(self, container_id: str) -> None:
        found = self.containers.pop(container_id, None)
        if found is not None:
            self.calls.append(f"remove {found.name}/{found.attempt}")

    async def list_containers(self, pod_uid: str = "") -> list[cri.ContainerStatus]:
        return [each for each in self.containers.values() if pod_uid in ("", each.pod_uid)]

    async def container_status(self, container_id: str) -> cri.ContainerStatus:
        return self.containers[container_id]

    async def update_container_resources(
        self, container_id: str, resources: cri.LinuxResources
    ) -> None: ...

    async def reopen_container_log(self, container_id: str) -> None: ...

    async def container_stats(self, container_id: str) -> cri.ContainerStats:
        raise NotFound(container_id)

    async def list_container_stats(self) -> list[cri.ContainerStats]:
        return []

    async def get_container_events(self) -> AsyncIterator[cri.ContainerEvent]:
        channel: Channel[cri.ContainerEvent] = Channel()
        self._listeners.append(channel)
        try:
            async for event in channel:
                yield event
        finally:
            self._listeners.remove(channel)

    def hang_up(self) -> None:
        """End the streams of events, as a runtime that is started again does."""
        for channel in list(self._listeners):
            channel.close()

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], seconds: float
    ) -> cri.ExecResult:
        self.executed.append((self._clock.time(), self.containers[container_id].name, command))
        takes = self.takes.get(command, 0.0)
        if takes and seconds and takes > seconds:
            await self._clock.sleep(seconds)
            raise TimeoutError
        if takes:
            await self._clock.sleep(takes)
        result = self.answers.get(command, cri.ExecResult(b"", b"", 0))
        if isinstance(result, Exception):
            raise result
        return result

    async def exec(
        self, container_id: str, command: tuple[str, ...], options: cri.StreamOptions
    ) -> str:
        raise NotFound(container_id)

    async def attach(self, container_id: str, options: cri.StreamOptions) -> str:
        raise NotFound(container_id)

    async def port_forward(self, sandbox_id: str, ports: tuple[int, ...]) -> str:
        raise NotFound(sandbox_id)

    # images

    async def pull_image(self, image: str, auth: cri.AuthConfig | None = None) -> cri.Image:
        self.pulls.append(image)
        self.shown.append(auth)
        if image in self.pull_seconds:
            await self._clock.sleep(self.pull_seconds[image])
        found = self.registry.get(image, cri.PullFailed(f"{image}: not found"))
        if isinstance(found, Exception):
            raise found
        if image in self.guarded and (auth is None or auth.username != self.guarded[image]):
            raise cri.PullFailed(f"{image}: {auth.username if auth else 'nobody'} may not")
        self.images[image] = found
        return found

    async def image_status(self, image: str) -> cri.Image | None:
        if "image" in self.failing:
            raise self.failing["image"]
        return self.images.get(image)

    async def list_images(self) -> list[cri.Image]:
        return list(self.images.values())

    async def remove_image(self, image: str) -> None:
        self.images.pop(image, None)

    async def image_fs_info(self) -> cri.FilesystemUsage:
        return cri.FilesystemUsage("/", 0.0, 0, 0)

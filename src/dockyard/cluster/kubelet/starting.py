"""Turns a planned start into a container that runs, or into the reason why it waits."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from dockyard.base.errors import DockyardError, Invalid, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import lastwords
from dockyard.cluster.kubelet.announcer import NORMAL, WARNING, Announcer
from dockyard.cluster.kubelet.containerconfig import container_config
from dockyard.cluster.kubelet.downward import Status
from dockyard.cluster.kubelet.environment import ConfigError, variables
from dockyard.cluster.kubelet.plan import Start
from dockyard.cluster.kubelet.probing import Prober, Target
from dockyard.cluster.kubelet.pulling import NoImage, Puller
from dockyard.cluster.kubelet.references import Lookup
from dockyard.cluster.kubelet.volumes.podvolumes import Ready
from dockyard.interfaces import cri

RETRY_SECONDS = 10.0
HOOK_SECONDS = 3600.0
"""A postStart hook may take long: the container is not ready before its end."""
T = TypeVar("T")


class Patience(Protocol):
    """Waits for what may take long, or raises when the pod is deleted meanwhile."""

    async def __call__(self, work: Coroutine[Any, Any, T]) -> T: ...


class Waits(NamedTuple):
    """A container that could not be started now."""

    reason: str
    message: str
    seconds: float | None
    """Until it is tried again; None: when the back-off says so."""


class Surroundings(NamedTuple):
    """What all containers of a pod share."""

    pod: Object
    sandbox_id: str
    sandbox: cri.PodSandboxConfig
    volumes: Mapping[str, Ready]
    lookup: Lookup
    services: Sequence[Object]
    status: Status
    node_memory: int
    folder: Path
    """Of the pod's volumes."""


class Starter:
    """Starts containers."""

    def __init__(
        self, runtime: cri.RuntimeService, puller: Puller, prober: Prober, announcer: Announcer
    ) -> None:
        self._runtime, self._puller = runtime, puller
        self._prober, self._announcer = prober, announcer

    async def start(
        self, spec: Object, start: Start, around: Surroundings, patience: Patience
    ) -> Waits | None:
        """None: it runs."""
        name, pod = spec["name"], around.pod

        def fail(reason: str, error: Exception, seconds: float | None) -> Waits:
            message = reason if isinstance(error, NoImage) else str(error)
            self._say(pod, start, WARNING, "Failed", f"Error: {message}")
            return Waits(reason, str(error), seconds)

        try:
            image = await patience(self._puller.ensure(pod, spec, around.lookup, init=start.init))
        except NoImage as error:
            return fail(error.reason, error, error.seconds)
        try:
            environment = variables(pod, spec, around.status, around.lookup, around.services)
            config = container_config(pod, spec, start.attempt, environment, around.volumes,
                                      image.user, around.node_memory)  # fmt: skip
            last_words = lastwords.prepare(around.folder, spec, start.attempt)
        except (ConfigError, Invalid, Unsupported) as error:
            return fail("CreateContainerConfigError", error, RETRY_SECONDS)
        if last_words is not None:
            config = replace(config, mounts=(*config.mounts, last_words))
        for stale in start.stale:
            await self._runtime.remove_container(stale)
        try:
            made = await self._runtime.create_container(around.sandbox_id, config, around.sandbox)
        except DockyardError as error:
            return fail("CreateContainerError", error, RETRY_SECONDS)
        self._say(pod, start, NORMAL, "Created", f"Created container: {name}")
        try:
            await self._runtime.start_container(made)
        except DockyardError as error:
            return fail("RunContainerError", error, None)
        self._say(pod, start, NORMAL, "Started", f"Started container {name}")
        return await self._post_start(spec, start, around, made, patience)

    async def _post_start(
        self,
        spec: Object,
        start: Start,
        around: Surroundings,
        container_id: str,
        patience: Patience,
    ) -> Waits | None:
        """The hook; when it fails, the container is killed."""
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if not hook:
            return None
        target = Target(container_id, spec, around.status.get("podIP", ""))
        result = await patience(self._prober.once(hook, target, HOOK_SECONDS))
        if result.good:
            return None
        self._say(around.pod, start, WARNING, "FailedPostStartHook", "PostStartHook failed")
        self._say(around.pod, start, NORMAL, "Killing", "FailedPostStartHook")
        await self._runtime.stop_container(container_id, 0)
        return Waits("PostStartHookError", f"PostStartHook failed: {result.text}", None)

    def _say(self, pod: Object, start: Start, kind: str, reason: str, message: str) -> None:
        self._announcer.say(pod, kind, reason, message, start.name, init=start.init)

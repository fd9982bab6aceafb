"""Turns one pod's wish and what runs of it into the next step: one worker a pod.

A step is decided from the pod and the runtime's answer, never from what this process remembers: so
a kubelet that was killed goes on where it was, and starts nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.base.errors import DockyardError, Unsupported
from dockyard.cluster.client.client import Client, copy_of
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informer
from dockyard.cluster.client.resources import PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import configs, status
from dockyard.cluster.kubelet.backoff import BackOff
from dockyard.cluster.kubelet.environment import ConfigError, Lookup, variables
from dockyard.cluster.kubelet.probes import Prober, check_supported
from dockyard.cluster.kubelet.status import Known
from dockyard.cluster.kubelet.volumes import Claims, PodVolumes
from dockyard.cluster.meta.errors import Conflict, NotFound
from dockyard.interfaces import cri

log = logging.getLogger("dockyard.kubelet")
RESYNC_SECONDS = 60.0
PERIODIC_CONFIG = ("configMap", "secret", "downwardAPI")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all workers of a kubelet have in common."""

    client: Client
    runtime: cri.RuntimeService
    images: cri.ImageService
    recorder: Recorder
    clock: Clock
    services: Informer
    lookup: Any
    """Namespace -> Lookup, after fetching what the pod names."""
    claims: Any
    pods_folder: Path
    host_ip: str
    dns: configs.Dns


class Worker:
    """One pod, from its first sight to its end."""

    def __init__(self, shared: Shared, pod: Object) -> None:
        self._shared, self.pod = shared, pod
        self._wake = asyncio.Event()
        self._known = {c["name"]: Known() for c in pod["spec"]["containers"]}
        self._sandbox: cri.PodSandboxStatus | None = None
        self._attempts = 0
        self._pulls = BackOff(shared.clock)
        self._crashes = BackOff(shared.clock)
        self._probes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._unhealthy: set[str] = set()
        self._prober = Prober(shared.runtime, shared.clock)
        self._folder = shared.pods_folder / pod["metadata"]["uid"]
        self._volumes = PodVolumes(self._folder, pod)
        self._refused = ""
        self.finished = False

    def update(self, pod: Object) -> None:
        """The pod has changed."""
        self.pod = pod
        self._wake.set()

    def wake(self) -> None:
        """Something of the pod has changed in the runtime."""
        self._wake.set()

    async def run(self) -> None:
        """Work until the pod is gone."""
        try:
            while not self.finished:
                self._wake.clear()
                due = RESYNC_SECONDS
                try:
                    due = await self._sync()
                except (Conflict, NotFound):
                    due = 0.5  # the pod has changed meanwhile
                except (DockyardError, OSError) as error:
                    log.warning("pod %s: %s", self._name, error)
                    await self._event("Warning", "FailedSync", f"error syncing pod: {error}")
                    due = 5.0
                if not self.finished:
                    await self._sleep(due)
        finally:
            self._stop_probes()

    async def _sleep(self, seconds: float) -> None:
        handle = self._shared.clock.call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    @property
    def _name(self) -> str:
        metadata = self.pod["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"

    # one step

    async def _sync(self) -> float:
        """Do what is to be done now; seconds until there may be more."""
        await self._look()
        if "deletionTimestamp" in self.pod["metadata"]:
            await self._terminate()
            return RESYNC_SECONDS
        if self.pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            await self._stop_all(0)
            return RESYNC_SECONDS
        if self._refused or await self._refuses():
            await self._report("Failed")
            return RESYNC_SECONDS
        phase = status.phase_of(self.pod, self._known)
        if phase in ("Succeeded", "Failed"):
            self._stop_probes()
            await self._report()
            if self._sandbox is not None:
                await self._shared.runtime.stop_pod_sandbox(self._sandbox.id)
            return RESYNC_SECONDS
        try:
            lookup, claims = await self._inputs()
            mounts = self._volumes.prepare(lookup, claims, self._addresses())
        except (ConfigError, Unsupported) as error:
            await self._event("Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
            await self._report()
            return 2.0
        if self._sandbox is None or self._sandbox.state != cri.READY:
            await self._make_sandbox()
        due = [await self._step(c, lookup, mounts) for c in self.pod["spec"]["containers"]]
        await self._look()
        self._follow_probes()
        await self._report()
        return min(due)

    async def _look(self) -> None:
        """What the runtime has of this pod."""
        uid = self.pod["metadata"]["uid"]
        sandboxes = [s for s in await self._shared.runtime.list_pod_sandbox() if s.uid == uid]
        sandboxes.sort(key=lambda each: -each.created_at)
        self._attempts = sandboxes[0].attempt + 1 if sandboxes else 0
        self._sandbox = sandboxes[0] if sandboxes else None
        containers = [c for c in await self._shared.runtime.list_containers() if c.pod_uid == uid]
        for name, known in self._known.items():
            found = [each for each in containers if each.name == name]
            known.attempts = sorted(found, key=lambda each: -each.attempt)

    async def _inputs(self) -> tuple[Lookup, Claims]:
        namespace = self.pod["metadata"]["namespace"]
        lookup = await self._shared.lookup(self.pod)
        claims = await self._shared.claims(self.pod)
        log.debug("pod %s/%s: inputs are there", namespace, self.pod["metadata"]["name"])
        return lookup, claims

    async def _refuses(self) -> bool:
        """A pod that this node cannot run at all: said once, by name."""
        spec = self.pod["spec"]
        try:
            if spec.get("initContainers"):
                raise Unsupported("init containers: not implemented")
            if (spec.get("os") or {}).get("name", "linux") != "linux":
                raise Unsupported(f"os {spec['os']['name']}: only linux containers run here")
            for container in spec["containers"]:
                check_supported(container)
        except Unsupported as error:
            self._refused = str(error)
            await self._event("Warning", "Failed", self._refused)
            for known in self._known.values():
                known.waiting = ("Unsupported", self._refused)
        return bool(self._refused)

    async def _make_sandbox(self) -> None:
        if self._sandbox is not None:
            await self._shared.runtime.stop_pod_sandbox(self._sandbox.id)
            await self._shared.runtime.remove_pod_sandbox(self._sandbox.id)
        config = self._sandbox_config()
        try:
            await self._shared.runtime.run_pod_sandbox(config)
        except DockyardError as error:
            await self._event(
                "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}"
            )
            raise
        await self._look()

    def _sandbox_config(self) -> cri.PodSandboxConfig:
        return configs.sandbox(
            self.pod, self._attempts, str(self._folder / "logs"), self._shared.dns
        )

    # containers

    async def _step(self, spec: Object, lookup: Lookup, mounts: dict[str, str]) -> float:
        """Start a container, or end one that is unhealthy; seconds until it is looked at again."""
        name, known = spec["name"], self._known[spec["name"]]
        newest = known.newest
        if newest is not None and newest.state == cri.RUNNING:
            if name in self._unhealthy:
                self._unhealthy.discard(name)
                await self._stop(spec, newest, self._grace())
            return RESYNC_SECONDS
        if newest is not None and newest.state == cri.EXITED:
            self._stop_probes(name)
            known.ready = known.started = False
            if not self._restarts(newest):
                return RESYNC_SECONDS
            left = self._crashes.left(name, newest.started_at, newest.finished_at)
            if left > 0:
                if known.waiting[0] != "CrashLoopBackOff":
                    text = (f"back-off {self._crashes.pause(name):.0f}s restarting failed "
                            f"container={name} pod={self.pod['metadata']['name']}")  # fmt: skip
                    known.waiting = ("CrashLoopBackOff", text)
                    await self._event(
                        "Warning", "BackOff", f"Back-off restarting failed container {name}", name
                    )
                return left
        return await self._start(spec, known, lookup, mounts)

    def _restarts(self, newest: cri.ContainerStatus) -> bool:
        policy = self.pod["spec"].get("restartPolicy", "Always")
        return policy == "Always" or (policy == "OnFailure" and newest.exit_code != 0)

    async def _start(
        self, spec: Object, known: Known, lookup: Lookup, mounts: dict[str, str]
    ) -> float:
        name = spec["name"]
        image = await self._image(spec, known)
        if image is None:
            return max(0.1, self._pulls.left(name))
        newest = known.newest
        attempt = 0 if newest is None else newest.attempt + (newest.state == cri.EXITED)
        try:
            environment = variables(self.pod, spec, self._addresses(), lookup, self._services())
            config = configs.container(self.pod, spec, attempt, environment, mounts, image.user)
        except (ConfigError, Unsupported) as error:
            known.waiting = ("CreateContainerConfigError", str(error))
            await self._event("Warning", "Failed", f"Error: {error}", name)
            return 5.0
        assert self._sandbox is not None
        if newest is not None and newest.state == cri.CREATED:
            await self._shared.runtime.remove_container(newest.id)
        try:
            made = await self._shared.runtime.create_container(
                self._sandbox.id, config, self._sandbox_config()
            )
            await self._event("Normal", "Created", f"Created container: {name}", name)
            await self._shared.runtime.start_container(made)
        except DockyardError as error:
            known.waiting = ("RunContainerError", str(error))
            self._crashes.failed(name)
            await self._event("Warning", "Failed", f"Error: {error}", name)
            return max(1.0, self._crashes.pause(name))
        known.waiting = ("ContainerCreating", "")
        await self._event("Normal", "Started", f"Started container {name}", name)
        for old in known.attempts[1:]:
            await self._shared.runtime.remove_container(old.id)
        await self._post_start(spec, made)
        return RESYNC_SECONDS

    async def _post_start(self, spec: Object, container_id: str) -> None:
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if hook:
            await self._hook(hook, spec, container_id, "FailedPostStartHook", 30.0)

    async def _image(self, spec: Object, known: Known) -> cri.Image | None:
        """The container's image, pulled as its policy says; None while it cannot be had."""
        name, image = spec["name"], spec["image"]
        policy = spec.get("imagePullPolicy", "IfNotPresent")
        try:
            found = await self._shared.images.image_status(image)
            if found is not None and policy != "Always":
                await self._event(
                    "Normal", "Pulled",
                    f'Container image "{image}" already present on machine', name,
                )  # fmt: skip
                return found
            if policy == "Never":
                text = f'Container image "{image}" is not present with pull policy of Never'
                known.waiting = ("ErrImageNeverPull", text)
                await self._event("Warning", "ErrImageNeverPull", text, name)
                self._pulls.failed(name)
                return None
            if self._pulls.left(name) > 0:
                text = f'Back-off pulling image "{image}": {known.waiting[1].split(": ", 1)[-1]}'
                if known.waiting[0] != "ImagePullBackOff":
                    known.waiting = ("ImagePullBackOff", text)
                    await self._event("Normal", "BackOff", f'Back-off pulling image "{image}"',
                                      name)  # fmt: skip
                return None
            await self._event("Normal", "Pulling", f'Pulling image "{image}"', name)
            found = await self._shared.images.pull_image(image)
            await self._event("Normal", "Pulled", f'Successfully pulled image "{image}"', name)
            return found
        except cri.PullFailed as error:
            self._pulls.failed(name)
            known.waiting = ("ErrImagePull", str(error))
            await self._event("Warning", "Failed", f'Failed to pull image "{image}": {error}', name)
            await self._event("Warning", "Failed", "Error: ErrImagePull", name)
            return None

    def _addresses(self) -> dict[str, str]:
        ip = self._sandbox.ip if self._sandbox else ""
        host = self.pod["spec"].get("hostNetwork")
        return {"podIP": self._shared.host_ip if host else ip, "hostIP": self._shared.host_ip}

    def _services(self) -> list[Object]:
        namespace = self.pod["metadata"]["namespace"]
        own = self._shared.services.in_namespace(namespace)
        master = self._shared.services.get("default/kubernetes")
        return own if master is None or namespace == "default" else [*own, master]

    # probes

    def _follow_probes(self) -> None:
        """One task for each probe of a running container."""
        for spec in self.pod["spec"]["containers"]:
            name, known = spec["name"], self._known[spec["name"]]
            newest = known.newest
            if newest is None or newest.state != cri.RUNNING:
                continue
            if "startupProbe" not in spec:
                known.started = True
            if "readinessProbe" not in spec:
                known.ready = known.started
            kinds = ["startupProbe"] if not known.started else ["readinessProbe", "livenessProbe"]
            for kind in kinds:
                if kind in spec and (name, kind) not in self._probes:
                    self._probes[name, kind] = asyncio.get_running_loop().create_task(
                        self._probe(kind, spec, newest.id)
                    )

    async def _probe(self, kind: str, spec: Object, container_id: str) -> None:
        name, known = spec["name"], self._known[spec["name"]]
        label = {"startupProbe": "Startup", "readinessProbe": "Readiness"}.get(kind, "Liveness")

        async def report(good: bool, text: str) -> None:
            if text:
                await self._event(
                    "Warning", "Unhealthy", f"{label} probe failed: {text[:500]}", name
                )
            if kind == "readinessProbe":
                changed, known.ready = known.ready != good, good
            elif kind == "startupProbe" and good and not text:
                changed, known.started = True, True
                self._cancel_probe(name, kind)
            else:
                changed = not good
                if changed:
                    self._unhealthy.add(name)
                    await self._event(
                        "Normal", "Killing",
                        f"Container {name} failed {label.lower()} probe, will be restarted", name,
                    )  # fmt: skip
            if changed:
                self._wake.set()

        address = self._addresses()["podIP"]
        await self._prober.watch(spec[kind], container_id, spec, address, report)

    def _cancel_probe(self, name: str, kind: str) -> None:
        task = self._probes.pop((name, kind), None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _stop_probes(self, name: str = "") -> None:
        for container, kind in list(self._probes):
            if not name or container == name:
                self._probes.pop((container, kind)).cancel()

    # the end

    def _grace(self) -> float:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        given = metadata.get("deletionGracePeriodSeconds")
        return float(spec.get("terminationGracePeriodSeconds", 30) if given is None else given)

    async def _stop(self, spec: Object, running: cri.ContainerStatus, grace: float) -> None:
        """preStop, then the stop signal, then SIGKILL: all within the grace."""
        started = self._shared.clock.monotonic()
        hook = (spec.get("lifecycle") or {}).get("preStop")
        if hook and grace > 0:
            await self._hook(hook, spec, running.id, "FailedPreStopHook", grace)
        left = max(0.0, grace - (self._shared.clock.monotonic() - started))
        await self._shared.runtime.stop_container(running.id, left)

    async def _hook(
        self, hook: Object, spec: Object, container_id: str, reason: str, seconds: float
    ) -> None:
        if "sleep" in hook:
            await self._shared.clock.sleep(min(seconds, float(hook["sleep"]["seconds"])))
            return
        probe = {**hook, "timeoutSeconds": seconds}
        address = self._addresses()["podIP"]
        good, text = await self._prober.once(probe, container_id, spec, address)
        if not good:
            await self._event("Warning", reason, f"{reason}: {text[:500]}", spec["name"])

    async def _stop_all(self, grace: float) -> None:
        self._stop_probes()
        running = [
            (spec, newest)
            for spec in self.pod["spec"]["containers"]
            if (newest := self._known[spec["name"]].newest) and newest.state == cri.RUNNING
        ]
        await asyncio.gather(*(self._stop(spec, each, grace) for spec, each in running))

    async def _terminate(self) -> None:
        """Containers, then the sandbox and all that is the pod's, then the pod itself."""
        for spec in self.pod["spec"]["containers"]:
            newest = self._known[spec["name"]].newest
            if newest is not None and newest.state == cri.RUNNING:
                await self._event("Normal", "Killing", f"Stopping container {spec['name']}",
                                  spec["name"])  # fmt: skip
        await self._stop_all(self._grace())
        await self._look()
        for known in self._known.values():
            known.ready = False
        await self._report()
        uid = self.pod["metadata"]["uid"]
        for each in await self._shared.runtime.list_pod_sandbox():
            if each.uid == uid:
                await self._shared.runtime.remove_pod_sandbox(each.id)
        self._volumes.remove()
        metadata = self.pod["metadata"]
        try:
            await self._shared.client.delete(
                PODS, metadata["name"], metadata["namespace"], uid=uid, grace=0
            )
        except (NotFound, Conflict):
            log.debug("pod %s: gone already", self._name)
        self.finished = True

    # telling

    async def _report(self, phase: str = "") -> None:
        fresh = status.pod_status(
            self.pod, self._known,
            pod_ip=self._addresses()["podIP"], host_ip=self._shared.host_ip,
            sandbox=self._sandbox is not None and self._sandbox.state == cri.READY,
            now=now.stamp(self._shared.clock.time()), phase=phase,
        )  # fmt: skip
        if self._refused:
            fresh |= {"reason": "Unsupported", "message": self._refused}
        if fresh == self.pod.get("status"):
            return
        metadata = self.pod["metadata"]
        body = copy_of(self.pod)
        body["metadata"].pop("resourceVersion", None)
        body["status"] = fresh
        stored = await self._shared.client.update_status(PODS, body)
        if stored["metadata"]["uid"] == metadata["uid"]:
            self.pod = stored

    async def _event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        path = f"spec.containers{{{container}}}" if container else ""
        await self._shared.recorder.event(self.pod, kind, reason, message, path)

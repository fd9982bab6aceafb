"""Turns one pod's wish into what runs of it, round by round: observe, plan, act, report.

One worker a pod, one round at a time. What happens meanwhile (an exit, a probe, a change of the
pod) wakes it; a round begins with what the runtime says, never with what was remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from dockyard.base.aio import now
from dockyard.base.aio.tasks import Tasks, in_thread
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import logfiles
from dockyard.cluster.kubelet.announcer import NORMAL, WARNING
from dockyard.cluster.kubelet.backoff import BackOff, go_duration
from dockyard.cluster.kubelet.observed import Observed, observe
from dockyard.cluster.kubelet.plan import Facts, Kill, Plan, Start, Wait, is_ending, plan
from dockyard.cluster.kubelet.podadmission import refusal
from dockyard.cluster.kubelet.probes import Context, Probes
from dockyard.cluster.kubelet.references import Named
from dockyard.cluster.kubelet.sandboxconfig import log_folder, sandbox_config
from dockyard.cluster.kubelet.shared import Shared
from dockyard.cluster.kubelet.starting import Surroundings, Waits
from dockyard.cluster.kubelet.status import Place, pod_status, rejected_status
from dockyard.cluster.kubelet.stopping import grace_after_probe, grace_of
from dockyard.cluster.kubelet.verdicts import Verdicts
from dockyard.cluster.kubelet.volumes.podvolumes import MountFailed, PodVolumes, Ready
from dockyard.interfaces import cri

log = logging.getLogger("dockyard.kubelet")
RESYNC_SECONDS = 60.0
FRESH_SECONDS = 5.0
"""What was read longer ago is read again before a container starts."""
SANDBOX_SECONDS = 10.0
"""After a sandbox could not be made."""
FIRST_MOUNT_PAUSE, LONGEST_MOUNT_PAUSE = 0.5, 122.0


class Worker:
    """One pod, from its first sight to its end."""

    def __init__(self, shared: Shared, pod: Object) -> None:
        self._shared, self.pod = shared, pod
        self.uid: str = pod["metadata"]["uid"]
        self._wake = asyncio.Event()
        self._observed = Observed()
        self._verdicts = Verdicts()
        self._verdicts.recall(pod)
        self._waiting: dict[str, tuple[str, str]] = {}
        self._due: dict[str, float] = {}
        """Container name -> when it may be tried again after a failure without back-off."""
        self._crashes = BackOff()
        self._volumes = PodVolumes(shared.volumes_of(pod), shared.secrets_of(pod), pod)
        self._ready: dict[str, Ready] | None = None
        self._named: Named | None = None
        self._refreshed = 0.0
        self._mount_pause = 0.0
        self._stops: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self._rejected = False
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
        async with Tasks() as tasks:
            self._tasks = tasks
            context = Context(self._verdicts, self._unhealthy, self.wake,
                              lambda: is_ending(self.pod))  # fmt: skip
            self._probes = Probes(self._shared.prober, self._shared.clock, tasks, context)
            while not self.finished:
                self._wake.clear()
                try:
                    due = await self._round()
                except (DockyardError, OSError) as error:
                    log.warning("pod %s: %s", self._name, error)
                    self._say(WARNING, "FailedSync", f"error syncing pod: {error}")
                    due = SANDBOX_SECONDS
                if not self.finished:
                    await self._sleep(due)

    async def _sleep(self, seconds: float) -> None:
        handle = self._shared.clock.call_later(max(0.0, seconds), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    @property
    def _name(self) -> str:
        metadata = self.pod["metadata"]
        return f"{metadata['name']}_{metadata['namespace']}({self.uid})"

    # one round

    async def _round(self) -> float:
        """Do what is to be done now; seconds until there may be more."""
        await self._observe()
        if self._rejected or (not self._observed.sandboxes and self._refuse()):
            return await self._end() if self._deleted else RESYNC_SECONDS
        if is_ending(self.pod):
            return await self._end()
        planned = plan(self.pod, self._observed, self._facts())
        self._follow_probes()
        await self._kill(planned.kills)
        if is_ending(self.pod):
            return 0.0
        if planned.sandbox is not None:
            return await self._make_sandbox(planned)
        for each in planned.remove:
            await self._shared.runtime.remove_container(each.id)
            logfiles.remove(each.log_path)
        due = RESYNC_SECONDS
        fresh = FRESH_SECONDS if planned.starts else RESYNC_SECONDS
        if self._refreshed + fresh <= self._now():
            mounted = await self._mount()
            if planned.starts and not mounted:
                self._report()
                return self._mount_pause
        for wait in planned.waits:
            self._back_off(wait)
            due = min(due, wait.seconds)
        for start in planned.starts:
            due = min(due, await self._start(start))
        if planned.starts:
            await self._observe()
            self._follow_probes()
        self._report()
        return 0.0 if is_ending(self.pod) else due

    def _now(self) -> float:
        return self._shared.clock.time()

    @property
    def _deleted(self) -> bool:
        return "deletionTimestamp" in self.pod["metadata"]

    async def _observe(self) -> None:
        runtime = self._shared.runtime
        sandboxes = await runtime.list_pod_sandbox(self.uid)
        containers = await runtime.list_containers(self.uid)
        self._observed = observe(sandboxes, containers)
        running = {each.id for each in self._observed.running}
        self._probes.keep_only(running)
        self._verdicts.forget_all_but(running)

    def _facts(self) -> Facts:
        restarts: dict[str, int] = {}
        status = self.pod.get("status", {})
        for section in ("initContainerStatuses", "containerStatuses"):
            for each in status.get(section) or ():
                if each.get("containerID"):
                    restarts[each["name"]] = int(each.get("restartCount", 0)) + 1
        now_ = self._now()
        return Facts(
            self._verdicts.unhealthy,
            restarts,
            lambda name, finished: max(
                self._crashes.left(name, finished, now_), self._due.get(name, 0.0) - now_
            ),
        )

    def _refuse(self) -> bool:
        """A pod that this node cannot run at all: said once, by name."""
        why = refusal(self.pod, self._shared.labels)
        if why is None:
            return False
        self._rejected = True
        self._say(WARNING, why.reason, why.message)
        stamp = now.stamp(self._now())
        self._shared.statuses.set(self.pod, rejected_status(self.pod, why, stamp))
        return True

    # sandbox and volumes

    async def _make_sandbox(self, planned: Plan) -> float:
        if planned.sandbox_changed:
            self._say(NORMAL, "SandboxChanged",
                      "Pod sandbox changed, it will be killed and re-created.")  # fmt: skip
            self._waiting.clear()
        if not await self._mount():
            self._report()
            return self._mount_pause
        for old in self._observed.sandboxes:
            await self._shared.runtime.stop_pod_sandbox(old.id)
        config = self._sandbox_config(planned.sandbox or 0)
        try:
            await self._shared.runtime.run_pod_sandbox(config)
        except DockyardError as error:
            self._say(WARNING, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            self._report()
            return SANDBOX_SECONDS
        await self._observe()
        self._report()
        return 0.0

    def _sandbox_config(self, attempt: int) -> cri.PodSandboxConfig:
        shared = self._shared
        logs = str(shared.pods_folder / log_folder(self.pod))
        return sandbox_config(self.pod, attempt, logs, shared.dns, shared.node)

    async def _mount(self) -> bool:
        """Read what the pod names and bring its volumes up to date."""
        shared = self._shared
        try:
            self._named = await shared.references.of(self.pod)
            self._ready = await in_thread(
                shared.clock, self._volumes.prepare, self.pod, self._named, self._addresses()
            )
        except MountFailed as error:
            self._say(WARNING, "FailedMount", str(error))
            self._mount_pause = min(LONGEST_MOUNT_PAUSE, self._mount_pause * 2 or FIRST_MOUNT_PAUSE)
            return self._ready is not None  # what is mounted already stays as it was
        self._mount_pause = 0.0
        self._refreshed = self._now()
        return True

    # containers

    def _spec_of(self, name: str) -> Object:
        spec = self.pod["spec"]
        for each in (*spec["containers"], *(spec.get("initContainers") or ())):
            if each["name"] == name:
                found: Object = each
                return found
        return {"name": name}

    async def _start(self, start: Start) -> float:
        """Start one container; seconds until it is looked at again."""
        spec, sandbox = self._spec_of(start.name), self._observed.sandbox
        assert sandbox is not None and self._named is not None
        if start.after is not None:
            self._crashes.tried(start.name, start.after.finished_at, self._now())
        around = Surroundings(
            self.pod, sandbox.id, self._sandbox_config(sandbox.attempt), self._ready or {},
            self._named.lookup, list(self._shared.services), self._addresses(),
            self._shared.node_memory,
        )  # fmt: skip
        waits = await self._shared.starter.start(spec, start, around)
        if waits is None:
            self._waiting.pop(start.name, None)
            self._due.pop(start.name, None)
            return 0.0 if start.init else RESYNC_SECONDS
        return self._failed(start, waits)

    def _failed(self, start: Start, waits: Waits) -> float:
        self._waiting[start.name] = (waits.reason, waits.message)
        if waits.seconds is None:
            return 0.0  # it has ended: the next round finds it so, and pauses
        self._due[start.name] = self._now() + waits.seconds
        return waits.seconds

    def _back_off(self, wait: Wait) -> None:
        pause = self._crashes.pause(wait.name)
        if not pause:
            return  # it waits for something else, and its status says for what
        self._waiting[wait.name] = (
            "CrashLoopBackOff",
            f"back-off {go_duration(pause)} restarting failed container={wait.name} "
            f"pod={self._name}",
        )
        self._shared.announcer.say(
            self.pod, WARNING, "BackOff",
            f"Back-off restarting failed container {wait.name} in pod {self._name}",
            wait.name, init=wait.init,
        )  # fmt: skip

    async def _kill(self, kills: tuple[Kill, ...]) -> None:
        """Containers of a pod that goes on: each with its own grace, all at once."""
        for kill in kills:
            spec = self._spec_of(kill.container.name)
            grace = (grace_after_probe(self.pod, spec, kill.probe) if kill.probe
                     else grace_of(self.pod))  # fmt: skip
            self._begin_stop(spec, kill, grace)
        await self._wait_for_stops()

    def _begin_stop(self, spec: Object, kill: Kill, grace: float) -> None:
        """Once a container; again when the grace has become shorter."""
        known = self._stops.get(kill.container.id)
        if known is not None and known[0] <= grace:
            return
        if known is not None:  # it is being ended: only be quicker about it
            work = self._shared.runtime.stop_container(kill.container.id, grace)
        else:
            work = self._shared.stopper.stop(
                self.pod, spec, kill, grace, self._addresses()["podIP"]
            )
        task = self._tasks.start(work, name=f"stop {kill.container.id[:12]}")
        self._stops[kill.container.id] = (grace, task)

    async def _wait_for_stops(self) -> bool:
        """Until all have ended (True), or the pod has changed."""
        while running := [task for _, task in self._stops.values() if not task.done()]:
            woken = asyncio.ensure_future(self._wake.wait())
            try:
                await asyncio.wait([*running, woken], return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
            if self._wake.is_set() and self._deleted:
                self._wake.clear()
                return False
        self._stops.clear()
        return True

    # the end

    async def _end(self) -> float:
        """Containers, then the sandbox and all that is the pod's, then the pod itself."""
        while True:
            planned = plan(self.pod, self._observed, self._facts())
            self._follow_probes()
            for kill in planned.kills:
                spec = self._spec_of(kill.container.name)
                self._begin_stop(spec, kill, grace_of(self.pod))
            self._report()
            if await self._wait_for_stops():
                break
            await self._observe()
        await self._observe()
        if self._observed.running:
            return 1.0
        self._report()
        for each in self._observed.sandboxes:
            if each.state == cri.READY:
                await self._shared.runtime.stop_pod_sandbox(each.id)
        if not self._deleted:
            return RESYNC_SECONDS
        for each in self._observed.sandboxes:
            await self._shared.runtime.remove_pod_sandbox(each.id)
        await in_thread(self._shared.clock, self._volumes.remove)
        await in_thread(self._shared.clock, self._shared.remove_folders, self.pod)
        self._shared.puller.forget(self.uid)
        self._shared.statuses.over(self.pod)
        self.finished = True
        return 0.0

    # probes and reports

    def _follow_probes(self) -> None:
        address = self._addresses()["podIP"]
        for spec in self.pod["spec"]["containers"]:
            newest = self._observed.newest(spec["name"])
            if newest is not None and newest.state == cri.RUNNING:
                self._probes.follow(spec, newest, address)

    def _unhealthy(self, container: str, message: str) -> None:
        self._say(WARNING, "Unhealthy", message, container)

    def _addresses(self) -> Mapping[str, str]:
        shared = self._shared
        sandbox = self._observed.sandbox
        address = sandbox.ip if sandbox is not None else ""
        if self.pod["spec"].get("hostNetwork"):
            address = shared.host_ip
        return {"podIP": address, "hostIP": shared.host_ip, **shared.capacity}

    def _report(self) -> None:
        if self._rejected:
            return
        statuses = self._shared.statuses
        # conditions keep the times of the status that was set last, written or not
        pod: dict[str, Any] = {**self.pod, "status": statuses.latest(self.pod)}
        place = Place(self._addresses()["podIP"], self._shared.host_ip)
        stamp = now.stamp(self._now())
        fresh = pod_status(pod, self._observed, self._verdicts, self._waiting, place, stamp)
        statuses.set(self.pod, fresh)
        if fresh["phase"] in ("Succeeded", "Failed") and not is_ending(self.pod):
            self.pod = {**self.pod, "status": fresh}

    def _say(self, kind: str, reason: str, message: str, container: str = "") -> None:
        self._shared.announcer.say(self.pod, kind, reason, message, container)

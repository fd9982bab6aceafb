"""Turns one pod's wish into what runs of it, round by round: observe, plan, act, report.

One worker a pod, one round at a time. What happens meanwhile (an exit, a probe, a change of the
pod) wakes it; a round begins with what the runtime says, never with what was remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from dockyard.base.aio import now
from dockyard.base.aio.tasks import Tasks, in_thread
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import logfiles
from dockyard.cluster.kubelet.announcer import NORMAL, WARNING
from dockyard.cluster.kubelet.backoff import BackOff, go_duration
from dockyard.cluster.kubelet.lastwords import LastWords
from dockyard.cluster.kubelet.observed import Observed, observe
from dockyard.cluster.kubelet.plan import (
    Facts,
    Kill,
    Plan,
    Start,
    Wait,
    definition,
    is_ending,
    plan,
)
from dockyard.cluster.kubelet.podadmission import past_deadline, refusal
from dockyard.cluster.kubelet.probes import Context, Probes
from dockyard.cluster.kubelet.references import Named
from dockyard.cluster.kubelet.sandboxconfig import log_folder, sandbox_config
from dockyard.cluster.kubelet.shared import Shared
from dockyard.cluster.kubelet.starting import RETRY_SECONDS, Surroundings
from dockyard.cluster.kubelet.status import (
    Place,
    Rejected,
    merged,
    pod_status,
    rejected_status,
    restarts_of,
    significant,
)
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
T = TypeVar("T")


class _Ending(Exception):
    """The pod was deleted while something of it was being made ready."""


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
        self._crashes = BackOff()
        self._volumes = PodVolumes(shared.volumes_of(pod), shared.secrets_of(pod), pod)
        self._ready: dict[str, Ready] | None = None
        self._named: Named | None = None
        self._refreshed = 0.0
        self._mount_pause = 0.0
        self._stops: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self._last_words = LastWords()
        self._rejected = False
        self._failed: Rejected | None = None
        self._ending = asyncio.Event()
        if self._deleted:
            self._ending.set()
        if pod.get("status", {}).get("startTime") and not is_ending(pod):
            shared.admitted[self.uid] = pod
        self.finished = False

    def update(self, pod: Object) -> None:
        """The pod has changed. What we have written ourselves is no reason to look."""
        changed = significant(pod) != significant(self.pod)
        self.pod = pod
        self._shared.statuses.seen(pod)
        if self._deleted:
            self._ending.set()
        if changed:
            self._wake.set()

    def wake(self) -> None:
        """Something of the pod has changed in the runtime."""
        self._wake.set()

    async def run(self) -> None:
        """Work until the pod is gone."""
        async with Tasks() as tasks:
            self._tasks = tasks
            context = Context(self._verdicts, self._unhealthy, self.wake,
                              lambda: is_ending(self._pod_now))  # fmt: skip
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
        if seconds <= 0:
            return
        handle = self._shared.clock.call_later(seconds, self._wake.set)
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
        if self._rejected or self._refuse():
            return await self._end() if self._deleted else RESYNC_SECONDS
        due = self._watch_deadline()
        if not self._observed.sandboxes:
            self._report()  # it is ours from now on; what ran before and is lost counts as ended
        if is_ending(self._pod_now):
            return await self._end()
        planned = plan(self._pod_now, self._observed, self._facts())
        self._follow_probes()
        if planned.kills:
            await self._kill(planned.kills)
            await self._observe()
            if is_ending(self._pod_now):
                return 0.0
        if planned.sandbox is not None:
            return min(due, await self._make_sandbox(planned))
        running = {each.name for each in self._observed.running}
        starts = [each for each in planned.starts if each.name not in running]
        fresh = FRESH_SECONDS if starts else RESYNC_SECONDS
        if self._refreshed + fresh <= self._now():
            mounted = await self._mount()
            if starts and not mounted:
                self._report()
                return min(due, self._mount_pause)
        for wait in planned.waits:
            self._back_off(wait)
            due = min(due, wait.seconds)
        try:
            for start in starts:
                due = min(due, await self._start(start))
        except _Ending:
            return 0.0
        if starts:
            await self._observe()
            self._follow_probes()
        self._report()
        await self._tidy(planned)
        return 0.0 if is_ending(self._pod_now) else due

    async def _tidy(self, planned: Plan) -> None:
        """Remove attempts that nobody asks about; what does not work now is tried next time."""
        try:
            for each in planned.remove:
                await self._shared.runtime.remove_container(each.id)
                logfiles.remove(each.log_path)
            for sandbox_id in planned.remove_sandboxes:
                await self._shared.runtime.remove_pod_sandbox(sandbox_id)
        except (DockyardError, OSError) as error:
            log.info("pod %s: tidy: %s", self._name, error)

    def _now(self) -> float:
        return self._shared.clock.time()

    @property
    def _pod_now(self) -> dict[str, Any]:
        """The pod with the status that was set last, written or not."""
        latest = self._shared.statuses.latest(self.pod)
        return {**self.pod, "status": merged(latest, self.pod.get("status", {}))}

    async def _unless_ending(self, work: Coroutine[Any, Any, T]) -> T:
        """What may take long is given up when the pod is deleted. Raises :class:`_Ending`."""
        task = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Ending
        finally:
            ending.cancel()
            task.cancel()
            await asyncio.wait((task, ending))

    def _watch_deadline(self) -> float:
        """Fail a pod that was active for too long; seconds until there may be something to do."""
        left = past_deadline(self._pod_now, self._now())
        if left is None or left > 0:
            return RESYNC_SECONDS if left is None else min(RESYNC_SECONDS, left)
        if self._failed is None and not is_ending(self._pod_now):
            self._failed = Rejected(
                "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
            )
            self._say(NORMAL, self._failed.reason, self._failed.message)
            self._report()
        return RESYNC_SECONDS

    @property
    def _deleted(self) -> bool:
        return "deletionTimestamp" in self.pod["metadata"]

    async def _observe(self) -> None:
        runtime = self._shared.runtime
        sandboxes = await runtime.list_pod_sandbox(self.uid)
        containers = await runtime.list_containers(self.uid)
        if self._last_words.lacks(containers):
            volumes = self._shared.volumes_of(self.pod)
            await in_thread(
                self._shared.clock, self._last_words.read, volumes, self._spec_of, containers
            )
        self._observed = observe(sandboxes, self._last_words.told(containers))
        running = {each.id for each in self._observed.running}
        self._probes.keep_only(running)
        self._verdicts.forget_all_but(running)

    def _facts(self) -> Facts:
        now_ = self._now()
        return Facts(
            self._verdicts.unhealthy,
            restarts_of(self._pod_now["status"]),
            lambda name, finished: self._crashes.left(self._crash_key(name), finished, now_),
        )

    def _crash_key(self, name: str) -> str:
        return f"{name} {definition(self._spec_of(name))}"

    def _refuse(self) -> bool:
        """A pod that this node cannot run at all: said once, by name."""
        shared = self._shared
        if self.uid in shared.admitted:
            return False
        if self._observed.sandboxes or is_ending(self._pod_now):
            why = None  # a kubelet before this one has let it in
        else:
            why = refusal(self.pod, shared.labels, shared.capacity, shared.admitted.values())
        if why is None:
            if not is_ending(self._pod_now):
                shared.admitted[self.uid] = self.pod
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
            key = self._crash_key(start.name)
            self._crashes.tried(key, start.after.finished_at, self._now())
        around = Surroundings(
            self.pod, sandbox.id, self._sandbox_config(sandbox.attempt), self._ready or {},
            self._named.lookup, list(self._shared.services), self._addresses(),
            self._shared.node_memory, self._shared.volumes_of(self.pod),
        )  # fmt: skip
        waits = await self._shared.starter.start(spec, start, around, self._unless_ending)
        if waits is None:
            self._waiting.pop(start.name, None)
            return 0.0 if start.init else RESYNC_SECONDS
        self._waiting[start.name] = (waits.reason, waits.message)
        if waits.seconds is not None:
            return waits.seconds
        await self._observe()
        newest = self._observed.newest(start.name)
        ended = newest is not None and newest.state == cri.EXITED
        return 0.0 if ended else RETRY_SECONDS  # the next round finds its end, and pauses

    def _back_off(self, wait: Wait) -> None:
        pause = self._crashes.pause(self._crash_key(wait.name))
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
        """Until all have ended (True), or the pod has been deleted or is to end sooner."""
        again = False
        try:
            while running := [task for _, task in self._stops.values() if not task.done()]:
                woken = asyncio.ensure_future(self._wake.wait())
                try:
                    await asyncio.wait([*running, woken], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    woken.cancel()
                if self._wake.is_set():
                    self._wake.clear()
                    if self._deleted:
                        return False
                    again = True
            self._stops.clear()
            return True
        finally:
            if again:  # what happened meanwhile is looked at in the next round
                self._wake.set()

    # the end

    async def _end(self) -> float:
        """Containers, then the sandbox and all that is the pod's, then the pod itself."""
        while True:
            planned = plan(self._pod_now, self._observed, self._facts())
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
        self._shared.admitted.pop(self.uid, None)
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
        pod = self._pod_now
        over = pod["status"].get("phase") in ("Succeeded", "Failed")
        if self._rejected or (over and not self._observed.containers):
            return  # what was said of it stays
        place = Place(self._addresses()["podIP"], self._shared.host_ip)
        stamp = now.stamp(self._now())
        fresh = pod_status(
            pod, self._observed, self._verdicts, self._waiting, place, stamp, self._failed
        )
        self._shared.statuses.set(self.pod, fresh)

    def _say(self, kind: str, reason: str, message: str, container: str = "") -> None:
        self._shared.announcer.say(self.pod, kind, reason, message, container)

"""Turns the probes of a container that runs into verdicts, each in a task of its own.

Timing as the kubelet's workers have it: a try at every period, counted from when the container was
first seen; the tries before ``initialDelaySeconds`` are left out; a verdict changes after so many
equal results in a row. While a startup probe has not succeeded, the others wait. A try that could
not be made at all tells nothing: it is said, and not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.probing import Prober, Result, Target
from dockyard.cluster.kubelet.verdicts import Verdicts
from dockyard.interfaces.cri import ContainerStatus

KINDS = {"startupProbe": "Startup", "readinessProbe": "Readiness", "livenessProbe": "Liveness"}
ERROR_TRIES = 3
"""A try that could not be made at all is made again at once, this many times in all."""


class Context(NamedTuple):
    """What the probes of a pod need of its worker."""

    verdicts: Verdicts
    say: Callable[[str, str], None]
    """(container, message): an Unhealthy event."""
    changed: Callable[[], None]
    is_ending: Callable[[], bool]
    """Whether the pod is being deleted: then only readiness is still looked at."""


class Probes:
    """The probes of one pod."""

    def __init__(self, prober: Prober, clock: Clock, tasks: Tasks, context: Context) -> None:
        self._prober, self._clock, self._tasks, self._context = prober, clock, tasks, context
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def follow(self, spec: Object, container: ContainerStatus, address: str) -> None:
        """Probe a container that runs, if it is not probed yet."""
        target = Target(container.id, spec, address)
        for kind in KINDS:
            if kind == "startupProbe" and self._context.verdicts.started.get(container.id):
                continue  # a kubelet before this one has seen it start
            if kind in spec and (container.id, kind) not in self._running:
                self._running[container.id, kind] = self._tasks.start(
                    self._watch(kind, spec[kind], target, container.started_at),
                    name=f"{kind} {spec['name']} {container.id[:12]}",
                )

    def keep_only(self, ids: set[str]) -> None:
        """Stop the probes of all other containers."""
        for key in [key for key in self._running if key[0] not in ids]:
            self._running.pop(key).cancel()

    async def _watch(self, kind: str, probe: Object, target: Target, started: float) -> None:
        period = max(1.0, float(probe.get("periodSeconds") or 10))
        delay = float(probe.get("initialDelaySeconds") or 0)
        needed = {True: int(probe.get("successThreshold") or 1),
                  False: int(probe.get("failureThreshold") or 3)}  # fmt: skip
        last, count = None, 0
        next_try = self._clock.monotonic()
        while True:
            applies = self._clock.time() - started >= delay and self._applies(kind, target)
            result = await self._try(kind, probe, target) if applies else None
            if result is not None and not result.errored:
                last, count = result.good, count + 1 if result.good == last else 1
                if count >= needed[result.good]:
                    self._judge(kind, target, result.good)
                    if kind != "readinessProbe" and (kind == "startupProbe" or not result.good):
                        return  # a startup probe is over; the container is about to be killed
            next_try += period
            late = self._clock.monotonic() - next_try
            if late >= period:  # of tries that were due meanwhile, one is made
                next_try += late // period * period
            await self._clock.sleep(max(0.0, next_try - self._clock.monotonic()))

    def _applies(self, kind: str, target: Target) -> bool:
        context = self._context
        if kind != "readinessProbe" and context.is_ending():
            return False
        waits = kind != "startupProbe" and "startupProbe" in target.spec
        return not waits or context.verdicts.started.get(target.container_id, False)

    async def _try(self, kind: str, probe: Object, target: Target) -> Result:
        seconds = float(probe.get("timeoutSeconds") or 1)
        for _ in range(ERROR_TRIES):
            result = await self._prober.once(probe, target, seconds)
            if not result.errored:
                break
        if not result.good:
            verb = "errored and resulted in unknown state" if result.errored else "failed"
            message = f"{KINDS[kind]} probe {verb}: {result.text}"
            self._context.say(target.spec["name"], message)
        return result

    def _judge(self, kind: str, target: Target, good: bool) -> None:
        verdicts, container_id = self._context.verdicts, target.container_id
        if kind == "readinessProbe":
            changed = verdicts.ready.get(container_id) is not good
            verdicts.ready[container_id] = good
        elif good:
            changed = kind == "startupProbe"
            if changed:
                verdicts.started[container_id] = True
        else:
            changed = True
            verdicts.unhealthy[container_id] = KINDS[kind]
        if changed:
            self._context.changed()

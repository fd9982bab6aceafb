"""Turns a container that runs into one that has ended: preStop, its stop signal, SIGKILL.

All of it within the grace period; the signal gets two seconds at least, as in the kubelet.
"""

from __future__ import annotations

from dockyard.base.aio.clock import Clock
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.announcer import NORMAL, WARNING, Announcer
from dockyard.cluster.kubelet.plan import Kill
from dockyard.cluster.kubelet.probing import Prober, Target
from dockyard.interfaces.cri import RuntimeService

LEAST_GRACE = 2.0
DEFAULT_GRACE = 30.0


class Stopper:
    """Ends containers. One grace period a container; a shorter one that comes later wins."""

    def __init__(
        self, runtime: RuntimeService, prober: Prober, announcer: Announcer, clock: Clock
    ) -> None:
        self._runtime, self._prober = runtime, prober
        self._announcer, self._clock = announcer, clock

    async def stop(self, pod: Object, spec: Object, kill: Kill, grace: float, address: str) -> None:
        """Say so, then end it."""
        name, container_id = spec["name"], kill.container.id
        self._announcer.say(pod, NORMAL, "Killing", kill.message, name)
        began = self._clock.monotonic()
        hook = (spec.get("lifecycle") or {}).get("preStop")
        if hook and grace > 0:
            target = Target(container_id, spec, address)
            try:
                async with self._clock.timeout(grace):
                    result = await self._prober.once(hook, target, grace)
                failed = not result.good
            except TimeoutError:
                failed = False  # its time is over: the container is ended now
            if failed:
                self._announcer.say(pod, WARNING, "FailedPreStopHook", "PreStopHook failed", name)
            grace -= self._clock.monotonic() - began
        await self._runtime.stop_container(container_id, max(LEAST_GRACE, grace))


def grace_of(pod: Object) -> float:
    """The deletion's grace, or the pod's own; a deletion without any still leaves a second."""
    given = pod["metadata"].get("deletionGracePeriodSeconds")
    if given is not None:
        return max(1.0, float(given))
    own = pod["spec"].get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE if own is None else float(own)


def grace_after_probe(pod: Object, spec: Object, probe: str) -> float:
    """After a probe (``Liveness``, ``Startup``) has failed: its own grace counts."""
    own = (spec.get(f"{probe.lower()}Probe") or {}).get("terminationGracePeriodSeconds")
    return grace_of(pod) if own is None else float(own)

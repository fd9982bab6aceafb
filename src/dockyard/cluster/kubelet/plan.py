"""Turns a pod's wish, and what runs of it, into the next round of actions. Pure.

Nothing here is remembered but what the caller hands in: so a kubelet that was killed goes on where
it was, and starts nothing twice. The rules are those of the kubelet's ``computePodActions``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.observed import Observed
from dockyard.interfaces.cri import CREATED, EXITED, RUNNING, ContainerStatus

KEPT = 2
"""Attempts of a container that stay: the newest, and the one before for ``logs --previous``."""
HASH = "io.kubernetes.container.hash"
"""The annotation that says which definition a container was made from."""


class Facts(NamedTuple):
    """What the runtime cannot say."""

    unhealthy: Mapping[str, str] = {}
    """Container id -> which of its probes has failed for good."""
    restarts: Mapping[str, int] = {}
    """Container name -> the attempt after the ones that the runtime has forgotten."""
    left: Callable[[str, float], float] = lambda name, finished: 0.0
    """(container name, end of its last run) -> seconds of back-off that are left."""


class Start(NamedTuple):
    """Start an attempt of a container."""

    name: str
    attempt: int
    init: bool = False
    after: ContainerStatus | None = None
    """The run that has ended before."""
    stale: tuple[str, ...] = ()
    """Containers of the same attempt that were made and never started: removed first."""


class Kill(NamedTuple):
    """End a container that runs."""

    container: ContainerStatus
    message: str
    probe: str = ""
    """``Liveness`` or ``Startup``: whose own grace may count."""


class Wait(NamedTuple):
    """A container that is in back-off."""

    name: str
    seconds: float
    init: bool = False


class Plan(NamedTuple):
    """One round. Kills come first; a sandbox is made alone; the rest follows."""

    kills: tuple[Kill, ...] = ()
    sandbox: int | None = None
    """Make a sandbox: its attempt."""
    sandbox_changed: bool = False
    """One was there before, and died."""
    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
    remove: tuple[ContainerStatus, ...] = ()
    """Attempts that nobody asks about any more."""
    remove_sandboxes: tuple[str, ...] = ()
    """Dead ones that hold nothing which is kept."""

    @property
    def due(self) -> float | None:
        """Seconds until a wait is over; None: there is none."""
        return min((wait.seconds for wait in self.waits), default=None)


def is_ending(pod: Object) -> bool:
    """Deleted, or at an end that is never left again."""
    phase = pod.get("status", {}).get("phase")
    return "deletionTimestamp" in pod["metadata"] or phase in ("Succeeded", "Failed")


def plan(pod: Object, observed: Observed, facts: Facts) -> Plan:
    """What is to be done now."""
    if is_ending(pod):
        return _end(observed)
    sandbox = observed.sandbox
    if sandbox is None:
        return _new_sandbox(pod, observed)
    inside = {
        name: tuple(each for each in found if each.sandbox_id == sandbox.id)
        for name, found in observed.containers.items()
    }
    removable = tuple(each for found in observed.containers.values() for each in found[KEPT:]
                      if each.state != RUNNING)  # fmt: skip
    dead = _empty_sandboxes(observed, removable)
    orphans = tuple(
        Kill(each, f"Stopping container {each.name}")
        for each in observed.running
        if each.sandbox_id != sandbox.id
    )
    first = _initialize(pod, observed, inside, facts)
    if first is not None:
        return first._replace(kills=orphans, remove=removable, remove_sandboxes=dead)
    kills = list(orphans)
    starts: list[Start] = []
    waits: list[Wait] = []
    for spec in pod["spec"]["containers"]:
        name = spec["name"]
        newest = observed.newest(name)
        if newest is not None and newest.state == RUNNING:
            why, probe, again = _condemned(pod, spec, newest, facts)
            if why:
                kills.append(Kill(newest, f"{why}, will be restarted" if again else why, probe))
            if again:  # its end is not asked about, and not waited for: the one before counts
                ended = next((each for each in observed.containers[name][1:]
                              if each.state == EXITED), None)  # fmt: skip
                start = Start(name, newest.attempt + 1, after=ended)
                _start_or_wait(start, facts, starts, waits)
            continue
        if not should_start(pod, newest):
            continue
        _start_or_wait(_next(observed, name, facts), facts, starts, waits)
    return Plan(
        tuple(kills), starts=tuple(starts), waits=tuple(waits), remove=removable,
        remove_sandboxes=dead,
    )  # fmt: skip


def definition(spec: Object) -> str:
    """What stands for a container's definition: of a pod only its images may change."""
    return hashlib.sha256(f"{spec['name']}\0{spec.get('image', '')}".encode()).hexdigest()[:8]


def _condemned(
    pod: Object, spec: Object, newest: ContainerStatus, facts: Facts
) -> tuple[str, str, bool]:
    """Why a container that runs is to end (empty: it is not), by which probe, and then again."""
    name = spec["name"]
    if newest.annotations.get(HASH, definition(spec)) != definition(spec):
        return f"Container {name} definition changed", "", True
    if probe := facts.unhealthy.get(newest.id):
        again = pod["spec"].get("restartPolicy", "Always") != "Never"
        return f"Container {name} failed {probe.lower()} probe", probe, again
    return "", "", False


def _empty_sandboxes(observed: Observed, leaving: tuple[ContainerStatus, ...]) -> tuple[str, ...]:
    """Sandboxes before the newest whose containers are all gone, or about to go."""
    gone = {each.id for each in leaving}
    used = {each.sandbox_id for found in observed.containers.values() for each in found
            if each.id not in gone}  # fmt: skip
    return tuple(each.id for each in observed.sandboxes[1:] if each.id not in used)


def should_start(pod: Object, newest: ContainerStatus | None) -> bool:
    """Whether a container that does not run is to run: by restartPolicy and its last end."""
    if newest is None or newest.state == CREATED:
        return True
    policy = pod["spec"].get("restartPolicy", "Always")
    return policy == "Always" or (policy == "OnFailure" and newest.exit_code != 0)


def _end(observed: Observed) -> Plan:
    return Plan(tuple(Kill(each, f"Stopping container {each.name}") for each in observed.running))


def _new_sandbox(pod: Object, observed: Observed) -> Plan:
    """The first sandbox, or one after the last has died: then all containers start anew."""
    before = observed.sandboxes
    wanted = [c for c in pod["spec"]["containers"] if should_start(pod, observed.newest(c["name"]))]
    ran = any(found for found in observed.containers.values())
    if before and ran and (not wanted or pod["spec"].get("restartPolicy") == "Never"):
        return _end(observed)
    kills = tuple(Kill(each, f"Stopping container {each.name}") for each in observed.running)
    attempt = before[0].attempt + 1 if before else 0
    return Plan(kills, sandbox=attempt, sandbox_changed=bool(before))


def _initialize(
    pod: Object,
    observed: Observed,
    inside: Mapping[str, tuple[ContainerStatus, ...]],
    facts: Facts,
) -> Plan | None:
    """The next init container of this sandbox; None when all have run."""
    spec = pod["spec"]
    if any(each.state != CREATED for c in spec["containers"] for each in inside.get(c["name"], ())):
        return None
    for container in spec.get("initContainers") or ():
        name = container["name"]
        runs = inside.get(name, ())
        newest = runs[0] if runs else None
        if newest is not None and newest.state == RUNNING:
            return Plan()
        if newest is not None and newest.state == EXITED:
            if newest.exit_code == 0:
                continue
            if spec.get("restartPolicy", "Always") == "Never":
                return Plan()
        starts: list[Start] = []
        waits: list[Wait] = []
        start = _next(observed, name, facts)._replace(init=True)
        if newest is None:  # a new sandbox starts them all again, without a pause
            starts.append(start)
        else:
            _start_or_wait(start, facts, starts, waits)
        return Plan(starts=tuple(starts), waits=tuple(waits))
    return None


def _next(observed: Observed, name: str, facts: Facts) -> Start:
    found = observed.containers.get(name, ())
    stale = tuple(each.id for each in found if each.state == CREATED)
    ended = next((each for each in found if each.state != CREATED), None)
    attempt = ended.attempt + 1 if ended else facts.restarts.get(name, 0)
    return Start(name, attempt, after=ended, stale=stale)


def _start_or_wait(start: Start, facts: Facts, starts: list[Start], waits: list[Wait]) -> None:
    if start.after is not None:
        left = facts.left(start.name, start.after.finished_at)
        if left > 0:
            waits.append(Wait(start.name, left, start.init))
            return
    starts.append(start)

"""Turns a Job, its numbers and its pods into what is to be done next. Pure.

The rules of kubernetes' pkg/controller/job (``syncJob``, ``manageJob``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import condition

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 360.0
"""Seconds before a failed pod is replaced; each one doubles ("capped at six minutes")."""
NOT_IMPLEMENTED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes")


class Numbers(NamedTuple):
    """Pods of a Job, those that have ended counted once."""

    active: int
    succeeded: int
    failed: int
    terminating: int = 0
    restarts: int = 0
    """Of containers in pods that run, where the pods restart them themselves."""


class Verdict(NamedTuple):
    """How a Job has ended; ``kind`` is Complete or Failed."""

    kind: str
    reason: str
    message: str


def verdict(job: Object, numbers: Numbers, now: float) -> Verdict | None:
    """None: it goes on."""
    spec = job["spec"]
    for name in NOT_IMPLEMENTED:
        if spec.get(name) is not None:
            return Verdict("Failed", "NotImplemented", f"spec.{name}: not implemented")
    limit = int(spec.get("backoffLimit", 6))
    restarted = numbers.restarts > 0 and numbers.restarts >= limit
    if numbers.failed > limit or restarted:
        return Verdict("Failed", "BackoffLimitExceeded",
                       "Job has reached the specified backoff limit")  # fmt: skip
    left = seconds_left(job, now)
    if left is not None and left <= 0:
        return Verdict("Failed", "DeadlineExceeded",
                       "Job was active longer than specified deadline")  # fmt: skip
    if spec.get("suspend"):
        return None
    completions = spec.get("completions")
    if completions is None:  # the pods agree among themselves when the work is done
        done = numbers.succeeded > 0 and not numbers.active
    else:
        done = numbers.succeeded >= int(completions)
    if done:
        return Verdict("Complete", "CompletionsReached",
                       "Reached expected number of succeeded pods")  # fmt: skip
    return None


def seconds_left(job: Object, now: float) -> float | None:
    """Until ``activeDeadlineSeconds`` are over; None: there is none, or it does not run."""
    seconds, started = job["spec"].get("activeDeadlineSeconds"), job["status"].get("startTime")
    if seconds is None or not started or job["spec"].get("suspend"):
        return None
    return parse_stamp(started) + float(seconds) - now


def wanted_active(spec: Object, numbers: Numbers) -> int:
    """How many pods shall run now."""
    if spec.get("suspend"):
        return 0
    parallelism, completions = int(spec.get("parallelism", 1)), spec.get("completions")
    if completions is None:
        return numbers.active if numbers.succeeded else parallelism
    return max(0, min(parallelism, int(completions) - numbers.succeeded))


def pause(ends: Iterable[tuple[float, bool]], now: float) -> float:
    """Seconds until a pod may be made again. ``ends``: when each pod ended, and whether well."""
    failures, latest = 0, 0.0
    for when, well in sorted(ends):
        failures = 0 if well else failures + 1
        latest = when
    if not failures:
        return 0.0
    return latest + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - 1)) - now


def ended_at(pod: Object, now: float) -> float:
    """When the last of a pod's containers ended."""
    stamps = [
        each["state"]["terminated"]["finishedAt"]
        for each in pod.get("status", {}).get("containerStatuses") or ()
        if (each.get("state") or {}).get("terminated", {}).get("finishedAt")
    ]
    since = condition(pod, "Ready").get("lastTransitionTime") or pod["metadata"].get(
        "deletionTimestamp"
    )
    return max((parse_stamp(each) for each in stamps or ([since] if since else [])), default=now)


def index_of(pod: Object) -> int:
    """The completion index of a pod; -1 where it has none."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else -1


def parse_indexes(text: str) -> set[int]:
    """``0,2-4`` as numbers."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Numbers as ``0,2-4``."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    # two neighbours are written with a comma, three and more with a dash: as Kubernetes does
    parts = []
    for first, last in runs:
        if last - first < 2:
            parts += [str(each) for each in range(first, last + 1)]
        else:
            parts.append(f"{first}-{last}")
    return ",".join(parts)


def free_indexes(
    completions: int, done: set[int], active: Sequence[Object], count: int
) -> list[int]:
    """The first indexes that nobody works on, and that are not done."""
    taken = done | {index_of(each) for each in active}
    return [each for each in range(completions) if each not in taken][:count]

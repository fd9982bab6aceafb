"""CronJobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks, job
from dockyard.cluster.kinds.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    SELECTOR,
    UNSET,
    age,
    containers,
    name,
    number,
    selector,
    text,
)
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.meta import age as ages
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

LONGEST_NAME = 52
"""Jobs append eleven characters to the name."""
_POLICIES = ("Allow", "Forbid", "Replace")


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    job.default_spec(template.setdefault("spec", {}))


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults: list[FieldError] = []
    if len(name(obj)) > LONGEST_NAME:
        faults.append(
            field.invalid(
                "metadata.name", name(obj), f"must be no more than {LONGEST_NAME} characters"
            )
        )
    schedule = spec.get("schedule", "")
    if not schedule:
        faults.append(field.required("spec.schedule"))
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        faults.append(
            field.invalid(
                "spec.schedule",
                schedule,
                f"expected exactly 5 fields, found {len(schedule.split())}: {schedule.split()}",
            )
        )
    faults += checks.not_negative(
        spec,
        "spec",
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    )
    faults += checks.one_of(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", _POLICIES)
    template = (spec.get("jobTemplate") or {}).get("spec") or {}
    return faults + job.check_spec(template, "spec.jobTemplate.spec")


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    template = (spec.get("jobTemplate") or {}).get("spec") or {}
    last = status.get("lastScheduleTime")
    suspended = spec.get("suspend")
    return [
        name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        UNSET if suspended is None else str(suspended),
        len(status.get("active") or ()),
        ages.age(last, now) if last else NONE,
        age(obj, now),
        *containers((template.get("template") or {}).get("spec") or {}),
        selector(template.get("selector")),
    ]


KINDS = (
    Kind(
        "batch",
        "v1",
        "CronJob",
        "cronjobs",
        short_names=("cj",),
        categories=("all",),
        subresources=(STATUS,),
        has_generation=True,
        fill_defaults=_default,
        check=_check,
        columns=(
            NAME,
            text("Schedule", "When."),
            text("Timezone", "By whose clock."),
            text("Suspend", "Is it held back?"),
            number("Active", "Jobs of it that run."),
            text("Last Schedule", "When it last started one."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        cells=_cells,
    ),
)

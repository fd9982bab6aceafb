"""Jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    age,
    containers,
    name,
    selector,
    template_spec,
    text,
)
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.podtemplate import TEMPLATE, check_template, default_template
from dockyard.cluster.meta import age as ages
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

BACKOFF_LIMIT = 6
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_OLD_LABELS = {CONTROLLER_UID: "controller-uid", JOB_NAME: "job-name"}
_ENDS = ("Complete", "Failed")


def default_spec(spec: dict[str, Any]) -> None:
    """Defaults of a job's spec, and of a cron job's template of one."""
    default_template(spec)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    per_index = spec.get("backoffLimitPerIndex") is not None
    spec.setdefault("backoffLimit", 2**31 - 1 if per_index else BACKOFF_LIMIT)
    spec["completionMode"] = spec.get("completionMode") or "NonIndexed"
    spec.setdefault("suspend", False)
    failure = spec.get("podFailurePolicy") is not None
    spec.setdefault("podReplacementPolicy", "Failed" if failure else "TerminatingOrFailed")


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    default_spec(spec)
    metadata = obj.setdefault("metadata", {})
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _on_create(obj: dict[str, Any]) -> None:
    """A job's pods are told from others' by the job's uid; so it must be stamped by now."""
    obj["status"] = {}
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("manualSelector"):
        return
    template = spec["template"].setdefault("metadata", {})
    labels = dict(template.get("labels") or {})
    for key, value in ((CONTROLLER_UID, metadata["uid"]), (JOB_NAME, metadata.get("name", ""))):
        labels[key] = labels[_OLD_LABELS[key]] = value
    template["labels"] = labels
    wanted = dict((spec.get("selector") or {}).get("matchLabels") or {})
    wanted[CONTROLLER_UID] = metadata["uid"]
    spec["selector"] = {**(spec.get("selector") or {}), "matchLabels": wanted}


def check_spec(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    faults = checks.not_negative(
        spec,
        path,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    )
    mode = spec.get("completionMode")
    faults += checks.one_of(mode, f"{path}.completionMode", ("Indexed", "NonIndexed"))
    if mode == "Indexed" and spec.get("completions") is None:
        faults.append(
            field.required(
                f"{path}.completions", "when completion mode is Indexed, completions must be set"
            )
        )
    template = spec.get("template") or {}
    faults += check_template(template, f"{path}.template")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        faults.append(
            field.required(
                f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"'
            )
        )
    return faults


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults = checks.label_selector(spec.get("selector"), "spec.selector")
    return faults + check_spec(spec, "spec")


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    spec, before = obj.get("spec", {}), old.get("spec", {})
    faults: list[FieldError] = []
    parts = ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"]
    if spec.get("completionMode") != "Indexed":
        parts.append("completions")
    for part in parts:
        faults += field.immutable(f"spec.{part}", spec.get(part), before.get(part))
    suspended = before.get("suspend") and not old.get("status", {}).get("startTime")
    if not suspended:
        faults += field.immutable(TEMPLATE, spec.get("template"), before.get("template"))
    return faults


def _condition(obj: Mapping[str, Any], name: str) -> bool:
    return any(
        each.get("type") == name and each.get("status") == "True"
        for each in obj.get("status", {}).get("conditions") or ()
    )


def _state(obj: Mapping[str, Any]) -> str:
    for word in _ENDS:
        if _condition(obj, word):
            return word
    if obj.get("metadata", {}).get("deletionTimestamp"):
        return "Terminating"
    for word in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if _condition(obj, word):
            return word
    return "Running"


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    done, parallel = status.get("succeeded", 0), spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        completions = f"{done}/{spec['completions']}"
    else:
        completions = f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"
    started, ended = status.get("startTime"), status.get("completionTime")
    duration = ""
    if started:
        until = ages.seconds_of(ended) if ended else now
        duration = ages.human(until - ages.seconds_of(started))
    return [
        name(obj),
        _state(obj),
        completions,
        duration,
        age(obj, now),
        *containers(template_spec(obj)),
        selector(spec.get("selector")),
    ]


KINDS = (
    Kind(
        "batch",
        "v1",
        "Job",
        "jobs",
        categories=("all",),
        subresources=(STATUS,),
        has_generation=True,
        fill_defaults=_default,
        on_create=_on_create,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Status", "Where it stands."),
            text("Completions", "Pods that ended well, of those wanted."),
            text("Duration", "From its start to its end."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        cells=_cells,
        fields=lambda obj: {"status.successful": str(obj.get("status", {}).get("succeeded", 0))},
        field_names=frozenset({"status.successful"}),
    ),
)

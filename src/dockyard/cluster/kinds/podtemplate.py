"""Turns the pod template of a workload into one with defaults, and into its faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.pod.defaults import default_spec
from dockyard.cluster.kinds.pod.validate import validate_spec
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta import selectors
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.objectmeta import validate_annotations, validate_labels

TEMPLATE = "spec.template"


def default_template(spec: dict[str, Any]) -> None:
    """Defaults of ``spec.template``."""
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_spec(template.setdefault("spec", {}))


def check_template(template: Mapping[str, Any], path: str = TEMPLATE) -> list[FieldError]:
    """Faults of a template by itself."""
    metadata = template.get("metadata") or {}
    faults = validate_labels(metadata.get("labels"), f"{path}.labels")
    faults += validate_annotations(metadata.get("annotations"), f"{path}.annotations")
    return faults + validate_spec(template.get("spec") or {}, f"{path}.spec")


def check_workload(obj: Mapping[str, Any], kind: str) -> list[FieldError]:
    """What workloads that keep pods running share: the selector matches the template, which
    restarts always."""
    spec = obj.get("spec", {})
    template = spec.get("template") or {}
    faults = check_selector(spec, kind)
    faults += check_template(template)
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy != "Always":
        faults.append(field.not_supported(f"{TEMPLATE}.spec.restartPolicy", policy, ("Always",)))
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        faults.append(
            field.forbidden(
                f"{TEMPLATE}.spec.activeDeadlineSeconds",
                f"activeDeadlineSeconds in {kind} is not Supported",
            )
        )
    return faults


def check_selector(spec: Mapping[str, Any], kind: str) -> list[FieldError]:
    """The selector is there, is no catch-all, and matches the template's labels."""
    selector = spec.get("selector")
    if selector is None:
        faults = [field.required("spec.selector")]
    else:
        faults = checks.label_selector(selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            why = f"empty selector is invalid for {kind}"
            return [*faults, field.invalid("spec.selector", selector, why)]
        if faults:
            return faults
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not selectors.from_object(selector).matches(labels):
        why = "`selector` does not match template `labels`"
        faults.append(field.invalid(f"{TEMPLATE}.metadata.labels", labels, why))
    return faults


def selector_stays(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    """``spec.selector`` of apps/v1 is for life."""
    return field.immutable(
        "spec.selector", obj.get("spec", {}).get("selector"), old.get("spec", {}).get("selector")
    )

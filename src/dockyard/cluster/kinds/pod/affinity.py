"""Turns affinity terms and node selectors into their faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import qualified_name

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def validate(affinity: Mapping[str, Any], path: str) -> list[FieldError]:
    """Faults of ``spec.affinity``."""
    faults: list[FieldError] = []
    node = affinity.get("nodeAffinity") or {}
    if _REQUIRED in node:
        faults += node_selector(node[_REQUIRED], f"{path}.nodeAffinity.{_REQUIRED}")
    for index, each in enumerate(node.get(_PREFERRED) or ()):
        at = f"{path}.nodeAffinity.{_PREFERRED}[{index}]"
        faults += _weight(each, at)
        faults += node_term(each.get("preference") or {}, f"{at}.preference")
    for name in ("podAffinity", "podAntiAffinity"):
        found = affinity.get(name) or {}
        for index, each in enumerate(found.get(_REQUIRED) or ()):
            faults += _pod_term(each, f"{path}.{name}.{_REQUIRED}[{index}]")
        for index, each in enumerate(found.get(_PREFERRED) or ()):
            at = f"{path}.{name}.{_PREFERRED}[{index}]"
            faults += _weight(each, at)
            faults += _pod_term(each.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return faults


def node_selector(selector: Mapping[str, Any], path: str) -> list[FieldError]:
    """Faults of a NodeSelector: of affinity, of a PersistentVolume."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        return [
            field.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
        ]
    faults: list[FieldError] = []
    for index, term in enumerate(terms):
        faults += node_term(term, f"{path}.nodeSelectorTerms[{index}]")
    return faults


def node_term(term: Mapping[str, Any], path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, each in enumerate(term.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        faults += _operator(each, at)
        key = each.get("key", "")
        faults += [field.invalid(f"{at}.key", key, why) for why in qualified_name(key)]
    for index, each in enumerate(term.get("matchFields") or ()):
        at = f"{path}.matchFields[{index}]"
        if each.get("operator") not in {"In", "NotIn"}:
            faults.append(
                field.invalid(
                    f"{at}.operator", each.get("operator", ""), "not a valid selector operator"
                )
            )
        elif len(each.get("values") or ()) != 1:
            faults.append(
                field.required(
                    f"{at}.values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field "
                    "selector",
                )
            )
        if each.get("key") != "metadata.name":
            faults.append(
                field.invalid(f"{at}.key", each.get("key", ""), "not a valid field selector key")
            )
    return faults


def _operator(each: Mapping[str, Any], path: str) -> list[FieldError]:
    operator, values = each.get("operator", ""), each.get("values") or ()
    if operator in {"In", "NotIn"}:
        if not values:
            return [
                field.required(
                    f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"
                )
            ]
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            return [
                field.forbidden(
                    f"{path}.values",
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                )
            ]
    elif operator in {"Gt", "Lt"}:
        if len(values) != 1:
            return [
                field.required(
                    f"{path}.values",
                    "must be specified single value when `operator` is 'Lt' or 'Gt'",
                )
            ]
    else:
        return [field.invalid(f"{path}.operator", operator, "not a valid selector operator")]
    return []


def _weight(each: Mapping[str, Any], path: str) -> list[FieldError]:
    weight = each.get("weight", 0)
    if 1 <= weight <= 100:
        return []
    return [field.invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _pod_term(term: Mapping[str, Any], path: str) -> list[FieldError]:
    faults = checks.label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    key = term.get("topologyKey", "")
    if not key:
        return [*faults, field.required(f"{path}.topologyKey", "can not be empty")]
    return faults + [field.invalid(f"{path}.topologyKey", key, why) for why in qualified_name(key)]

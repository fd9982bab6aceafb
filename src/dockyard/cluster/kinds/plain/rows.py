"""Turns objects of kinds that need no more of ours into the rows that Kubernetes prints of them.

Each pair is what one kind hands to :class:`Kind`: ``**rows.BUDGET``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

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
    joined,
    labels,
    name,
    number,
    selector,
    template_spec,
    text,
)
from dockyard.cluster.kinds.kind import Column
from dockyard.cluster.meta import age as ages

Object = Mapping[str, Any]


class Shown(TypedDict):
    """The part of a Kind that says how it is shown."""

    columns: tuple[Column, ...]
    cells: Callable[[Object, float], list[Any]]


def _between(*middle: Column, last: tuple[Column, ...] = ()) -> tuple[Column, ...]:
    return (NAME, *middle, AGE, *last)


def _flag(title: str, description: str) -> Column:
    return Column(title, "boolean", description=description)


def _spec(obj: Object) -> Mapping[str, Any]:
    return obj.get("spec") or {}


def _status(obj: Object) -> Mapping[str, Any]:
    return obj.get("status") or {}


def _owner(obj: Object) -> str:
    for each in obj.get("metadata", {}).get("ownerReferences") or ():
        if each.get("controller"):
            group = each.get("apiVersion", "").rpartition("/")[0]
            kind = f"{each.get('kind', '')}.{group}" if group else each.get("kind", "")
            return f"{kind.lower()}/{each.get('name', '')}"
    return NONE


REPLICATION_CONTROLLER: Shown = {
    "columns": _between(
        number("Desired", "Pods wanted."), number("Current", "Pods there are."),
        number("Ready", "Pods that are ready."), last=(CONTAINERS, IMAGES, SELECTOR),
    ),
    "cells": lambda obj, now: [
        name(obj), _spec(obj).get("replicas", 0), _status(obj).get("replicas", 0),
        _status(obj).get("readyReplicas", 0), age(obj, now), *containers(template_spec(obj)),
        labels(_spec(obj).get("selector")),
    ],
}  # fmt: skip

POD_TEMPLATE: Shown = {
    "columns": (
        NAME, text("Containers", "Names of its containers."),
        text("Images", "Images of its containers."), text("Pod Labels", "Labels of its pods."),
    ),
    "cells": lambda obj, now: [
        name(obj), *containers((obj.get("template") or {}).get("spec") or {}),
        labels(((obj.get("template") or {}).get("metadata") or {}).get("labels")),
    ],
}  # fmt: skip


def _quota(obj: Object, now: float) -> list[Any]:
    used = _status(obj).get("used") or {}
    parts: tuple[list[str], list[str]] = ([], [])
    for each, hard in sorted((_status(obj).get("hard") or {}).items()):
        parts[each.startswith("limits.")].append(f"{each}: {used.get(each, '0')}/{hard}")
    return [name(obj), ", ".join(parts[0]), ", ".join(parts[1]), age(obj, now)]


QUOTA: Shown = {
    "columns": _between(text("Request", "Used and allowed of what is requested or counted."),
                        text("Limit", "Used and allowed of limits.")),
    "cells": _quota,
}  # fmt: skip

REVISION: Shown = {
    "columns": _between(text("Controller", "Whose revision it is."),
                        text("Revision", "Its number.")),
    "cells": lambda obj, now: [name(obj), _owner(obj), obj.get("revision", 0), age(obj, now)],
}  # fmt: skip

WEBHOOKS: Shown = {
    "columns": _between(number("Webhooks", "How many it has.")),
    "cells": lambda obj, now: [name(obj), len(obj.get("webhooks") or ()), age(obj, now)],
}


def _policy(obj: Object, now: float) -> list[Any]:
    kind = _spec(obj).get("paramKind")
    shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
    return [name(obj), len(_spec(obj).get("validations") or ()), shown, age(obj, now)]


def _policy_binding(obj: Object, now: float) -> list[Any]:
    found = _spec(obj).get("paramRef")
    shown = UNSET
    if found and found.get("name"):
        shown = f"{found.get('namespace') or '*'}/{found['name']}"
    elif found and found.get("selector"):
        shown = selector(found["selector"])
    return [name(obj), _spec(obj).get("policyName", ""), shown, age(obj, now)]


POLICY: Shown = {
    "columns": _between(number("Validations", "How many rules it has."),
                        text("ParamKind", "The kind of its parameters.")),
    "cells": _policy,
}  # fmt: skip
POLICY_BINDING: Shown = {
    "columns": _between(text("PolicyName", "Which policy it puts in force."),
                        text("ParamRef", "The parameters it gives it.")),
    "cells": _policy_binding,
}  # fmt: skip


def _service(obj: Object, now: float) -> list[Any]:
    found = _spec(obj).get("service")
    where = f"{found.get('namespace', '')}/{found.get('name', '')}" if found else "Local"
    available = "Unknown"
    for each in _status(obj).get("conditions") or ():
        if each.get("type") == "Available":
            good = each.get("status") == "True"
            available = "True" if good else f"{each.get('status')} ({each.get('reason', '')})"
    return [name(obj), where, available, age(obj, now)]


API_SERVICE: Shown = {
    "columns": _between(text("Service", "Who answers for it."),
                        text("Available", "Whether it does.")),
    "cells": _service,
}  # fmt: skip


def _signing(obj: Object, now: float) -> list[Any]:
    found = {each.get("type") for each in _status(obj).get("conditions") or ()}
    shown = next((each for each in ("Denied", "Approved") if each in found), "Pending")
    shown += ",Failed" if "Failed" in found else ""
    shown += ",Issued" if _status(obj).get("certificate") else ""
    seconds = _spec(obj).get("expirationSeconds")
    return [
        name(obj), age(obj, now), _spec(obj).get("signerName") or NONE,
        _spec(obj).get("username", ""), NONE if seconds is None else ages.human(seconds), shown,
    ]  # fmt: skip


SIGNING_REQUEST: Shown = {
    "columns": (
        NAME, AGE, text("SignerName", "Who is asked to sign."), text("Requestor", "Who asks."),
        text("RequestedDuration", "How long it is to be valid."),
        text("Condition", "What has become of it."),
    ),
    "cells": _signing,
}  # fmt: skip


def _flow(obj: Object, now: float) -> list[Any]:
    spec, dangling = _spec(obj), "?"
    for each in _status(obj).get("conditions") or ():
        if each.get("type") == "Dangling":
            dangling = each.get("status", "?")
    level, method = spec.get("priorityLevelConfiguration") or {}, spec.get("distinguisherMethod")
    return [
        name(obj), level.get("name", ""), spec.get("matchingPrecedence", 0),
        (method or {}).get("type", NONE), age(obj, now), dangling,
    ]  # fmt: skip


def _level(obj: Object, now: float) -> list[Any]:
    spec = _spec(obj)
    limited = spec.get("limited") or {}
    shares = limited.get("nominalConcurrencyShares", NONE)
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    sizes = [queuing.get(each, NONE) for each in ("queues", "handSize", "queueLengthLimit")]
    return [name(obj), spec.get("type", ""), shares, *sizes, age(obj, now)]


FLOW: Shown = {
    "columns": _between(
        text("PriorityLevel", "Where its requests wait."),
        text("MatchingPrecedence", "Lower ones are tried first."),
        text("DistinguisherMethod", "What tells its flows apart."),
        last=(text("MissingPL", "Whether there is no such priority level."),),
    ),
    "cells": _flow,
}  # fmt: skip
LEVEL: Shown = {
    "columns": _between(
        text("Type", "Exempt or Limited."), text("NominalConcurrencyShares", "Its part."),
        text("Queues", "How many there are."), text("HandSize", "How many a flow may use."),
        text("QueueLengthLimit", "How many may wait in one."),
    ),
    "cells": _level,
}  # fmt: skip


def _address(obj: Object, now: float) -> list[Any]:
    found = _spec(obj).get("parentRef") or {}
    resource = ".".join(part for part in (found.get("resource"), found.get("group")) if part)
    parts = (resource, found.get("namespace"), found.get("name"))
    return [name(obj), "/".join(part for part in parts if part) or NONE]


ADDRESS: Shown = {"columns": (NAME, text("ParentRef", "Who has it.")), "cells": _address}
CIDR: Shown = {
    "columns": _between(text("CIDRs", "The blocks.")),
    "cells": lambda obj, now: [name(obj), ",".join(_spec(obj).get("cidrs") or ()), age(obj, now)],
}
NETWORK_POLICY: Shown = {
    "columns": _between(text("Pod-Selector", "The pods it is for.")),
    "cells": lambda obj, now: [name(obj), selector(_spec(obj).get("podSelector")), age(obj, now)],
}
BUDGET: Shown = {
    "columns": _between(
        text("Min Available", "How many pods must stay."),
        text("Max Unavailable", "How many pods may be missing."),
        number("Allowed Disruptions", "How many pods may be disturbed now."),
    ),
    "cells": lambda obj, now: [
        name(obj), str(_spec(obj).get("minAvailable", "N/A")),
        str(_spec(obj).get("maxUnavailable", "N/A")),
        _status(obj).get("disruptionsAllowed", 0), age(obj, now),
    ],
}  # fmt: skip


def _binding(obj: Object, now: float) -> list[Any]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()

    def named(kind: str) -> str:
        return ", ".join(
            f"{each.get('namespace', '')}/{each['name']}" if kind == "ServiceAccount"
            else each["name"] for each in subjects if each.get("kind") == kind
        )  # fmt: skip

    return [name(obj), f"{role.get('kind', '')}/{role.get('name', '')}", age(obj, now),
            named("User"), named("Group"), named("ServiceAccount")]  # fmt: skip


BINDING: Shown = {
    "columns": _between(
        text("Role", "The role that is given."),
        last=(text("Users", "Who has it.", 1), text("Groups", "Which groups have it.", 1),
              text("ServiceAccounts", "Which accounts have it.", 1)),
    ),
    "cells": _binding,
}  # fmt: skip
RUNTIME: Shown = {
    "columns": _between(text("Handler", "What runs its pods.")),
    "cells": lambda obj, now: [name(obj), obj.get("handler", ""), age(obj, now)],
}
PRIORITY: Shown = {
    "columns": _between(
        number("Value", "Higher goes first."), _flag("Global-Default", "For pods that name none."),
        last=(text("PreemptionPolicy", "Whether others make room."),),
    ),
    "cells": lambda obj, now: [
        name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now),
        obj.get("preemptionPolicy", ""),
    ],
}  # fmt: skip


def _driver(obj: Object, now: float) -> list[Any]:
    spec = _spec(obj)
    asked = spec.get("tokenRequests")
    return [
        name(obj), spec.get("attachRequired", True), bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if asked is None else ",".join(each.get("audience", "") for each in asked),
        bool(spec.get("requiresRepublish")), joined(spec.get("volumeLifecycleModes") or ()),
        age(obj, now),
    ]  # fmt: skip


DRIVER: Shown = {
    "columns": _between(
        _flag("AttachRequired", "Whether volumes are attached first."),
        _flag("PodInfoOnMount", "Whether it hears of the pod."),
        _flag("StorageCapacity", "Whether it says what is free."),
        text("TokenRequests", "For whom it is given tokens."),
        _flag("RequiresRepublish", "Whether it is asked again and again."),
        text("Modes", "What volumes it has."),
    ),
    "cells": _driver,
}  # fmt: skip
DRIVERS: Shown = {
    "columns": _between(number("Drivers", "How many the node has.")),
    "cells": lambda obj, now: [name(obj), len(_spec(obj).get("drivers") or ()), age(obj, now)],
}
CAPACITY: Shown = {
    "columns": (NAME, text("StorageClassName", "The class."), text("Capacity", "What is free.")),
    "cells": lambda obj, now: [
        name(obj), obj.get("storageClassName", ""), obj.get("capacity", UNSET)
    ],
}  # fmt: skip
ATTACHMENT: Shown = {
    "columns": _between(
        text("Attacher", "The driver."), text("PV", "The volume."), text("Node", "The node."),
        _flag("Attached", "Whether it is."),
    ),
    "cells": lambda obj, now: [
        name(obj), _spec(obj).get("attacher", ""),
        (_spec(obj).get("source") or {}).get("persistentVolumeName", ""),
        _spec(obj).get("nodeName", ""), bool(_status(obj).get("attached")), age(obj, now),
    ],
}  # fmt: skip

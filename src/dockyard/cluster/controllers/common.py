"""What controllers share: owners, pods' states, pods from templates, and how one is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.cluster.client.client import Client, copy_of
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.transport import Object
from dockyard.cluster.meta.objectmeta import GENERATED_ALPHABET

OWNER = "owner"
"""The index of objects by the uid of their controller."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every controller is handed."""

    client: Client
    informers: Informers
    clock: Clock
    recorder: Recorder
    local_path: str
    """The folder in which the node keeps local-path volumes."""

    def stamp(self) -> str:
        """Now, as metav1.Time."""
        return now.stamp(self.clock.time())


class Controller(Protocol):
    """One controller: wires informers when it is made, works when it runs."""

    async def run(self) -> None: ...


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """The owner that manages an object."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def owner_uids(obj: Object) -> list[str]:
    """For the owner index."""
    owner = controller_of(obj)
    return [owner["uid"]] if owner else []


def reference_to(owner: Object, kind: str, api_version: str) -> dict[str, Any]:
    """The reference that an owned object carries."""
    metadata = owner["metadata"]
    return {
        "apiVersion": api_version, "kind": kind, "name": metadata["name"],
        "uid": metadata["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def pod_from(template: Mapping[str, Any], owner: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A pod as a template describes it."""
    made = copy_of(template)
    metadata = made.setdefault("metadata", {})
    metadata["namespace"] = namespace
    metadata["ownerReferences"] = [owner]
    return {"metadata": metadata, "spec": made.get("spec", {})}


def is_active(pod: Object) -> bool:
    """Neither ended nor asked to end."""
    phase = pod.get("status", {}).get("phase")
    return phase not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def condition(obj: Object, kind: str) -> Mapping[str, Any]:
    """A condition of an object's status; empty where it has none of that type."""
    for found in obj.get("status", {}).get("conditions") or ():
        if found["type"] == kind:
            return dict(found)
    return {}


def is_ready(pod: Object) -> bool:
    """Whether a pod's Ready condition is true."""
    return condition(pod, "Ready").get("status") == "True"


def ready_since(pod: Object) -> float:
    """When a pod became ready; seconds since the epoch."""
    stamp = condition(pod, "Ready").get("lastTransitionTime")
    return now.parse_stamp(stamp) if stamp else 0.0


def is_available(pod: Object, seconds: int, time: float) -> bool:
    """Ready for at least so many seconds."""
    return is_ready(pod) and (not seconds or ready_since(pod) + seconds <= time)


def with_condition(
    status: dict[str, Any], kind: str, value: str, reason: str, message: str, stamp: str
) -> None:
    """Set a condition; its transition time changes with its value only."""
    conditions = status.setdefault("conditions", [])
    before = next((c for c in conditions if c["type"] == kind), None)
    changed = before is None or before["status"] != value
    fresh = {
        "type": kind, "status": value, "reason": reason, "message": message,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp if changed or before is None else before["lastTransitionTime"],
    }  # fmt: skip
    if before is not None and not changed and (before.get("reason"), before.get("message")) == (
        reason, message
    ):  # fmt: skip
        return
    status["conditions"] = [c for c in conditions if c["type"] != kind] + [fresh]


def short_hash(value: Any, collisions: int = 0) -> str:
    """Ten characters that stand for a template: the same one, the same hash."""
    text = json.dumps([value, collisions], sort_keys=True).encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:8])
    out = ""
    for _ in range(10):
        number, index = divmod(number, len(GENERATED_ALPHABET))
        out += GENERATED_ALPHABET[index]
    return out

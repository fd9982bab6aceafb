"""What controllers share: owners, pods' states, pods from templates, and how one is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client, copy_of
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informer, Informers
from dockyard.cluster.client.resources import PODS
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.meta.errors import NotFound
from dockyard.cluster.meta.objectmeta import GENERATED_ALPHABET

OWNER, ORPHANS = "owner", "orphans"
"""The indexes of objects by the uid of their controller, and of those without by namespace."""


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

    def speaking_as(self, component: str) -> Context:
        """The same, whose events say that they come from this controller."""
        return replace(self, recorder=Recorder(self.client, self.clock, component))


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


def orphan_of(obj: Object) -> list[str]:
    """For the index of orphans."""
    return [] if controller_of(obj) else [obj["metadata"].get("namespace", "")]


def index_owners(informer: Informer) -> None:
    """What :class:`Owner` is asked with."""
    informer.add_index(OWNER, owner_uids)
    informer.add_index(ORPHANS, orphan_of)


def reference_to(owner: Object, kind: str, api_version: str) -> dict[str, Any]:
    """The reference that an owned object carries."""
    metadata = owner["metadata"]
    return {
        "apiVersion": api_version, "kind": kind, "name": metadata["name"],
        "uid": metadata["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


class Owner:
    """One owner and its kind; finds out what is its own.

    The rules of kubernetes' ControllerRefManager: an orphan that matches the selector is adopted,
    what does not match any more is released; an owner that is being deleted does neither.
    """

    def __init__(
        self, context: Context, owner: Object, resource: Resource, kind: str,
        matches: Callable[[Object], bool],
    ) -> None:  # fmt: skip
        self._context, self._owner, self._resource = context, owner, resource
        self._kind, self._matches = kind, matches
        self._deleting = "deletionTimestamp" in owner["metadata"]
        self._checked = False

    @property
    def reference(self) -> dict[str, Any]:
        """What the owned carry."""
        return reference_to(self._owner, self._kind, self._resource.api_version)

    async def claim(
        self, informer: Informer, counts: Callable[[Object], bool] = lambda obj: True
    ) -> list[Object]:
        """The owner's own; objects that do not count are left out."""
        metadata, resource, found = self._owner["metadata"], informer.resource, []
        for each in filter(counts, informer.by(OWNER, metadata["uid"])):
            if self._deleting or self._matches(each):
                found.append(each)
            else:
                await self._release(resource, each)
        if self._deleting:
            return found
        for each in filter(counts, informer.by(ORPHANS, metadata["namespace"])):
            if "deletionTimestamp" in each["metadata"] or not self._matches(each):
                continue
            if not await self._is_still_there():
                break
            owners = [*(each["metadata"].get("ownerReferences") or ()), self.reference]
            found.append(await self._own(resource, each, owners))
        return found

    async def _is_still_there(self) -> bool:
        """Asked of the API, once: what an owner's end has orphaned is not adopted by its ghost."""
        if not self._checked:
            metadata = self._owner["metadata"]
            try:
                live = await self._context.client.get(
                    self._resource, metadata["name"], metadata["namespace"]
                )
            except NotFound:
                return False
            same = live["metadata"]["uid"] == metadata["uid"]
            self._checked = same and "deletionTimestamp" not in live["metadata"]
        return self._checked

    async def _release(self, resource: Resource, obj: Object) -> None:
        uid = self._owner["metadata"]["uid"]
        owners = [each for each in obj["metadata"]["ownerReferences"] if each["uid"] != uid]
        try:
            await self._own(resource, obj, owners)
        except NotFound:
            return

    async def _own(self, resource: Resource, obj: Object, owners: list[dict[str, Any]]) -> Object:
        metadata = obj["metadata"]
        patch = {"metadata": {
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
            "ownerReferences": owners or None,
        }}  # fmt: skip
        return await self._context.client.patch(
            resource, metadata["name"], patch, metadata["namespace"]
        )


def pod_from(template: Mapping[str, Any], owner: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A pod as a template describes it."""
    made = copy_of(template)
    metadata = made.setdefault("metadata", {})
    metadata["namespace"] = namespace
    metadata["ownerReferences"] = [owner]
    return {"metadata": metadata, "spec": made.get("spec", {})}


async def create_pod(context: Context, owner: Object, pod: dict[str, Any]) -> Object:
    """Make a pod of an owner, and say so in its events, or why it could not be made."""
    try:
        made = await context.client.create(PODS, pod, owner["metadata"]["namespace"])
    except DockyardError as error:
        await context.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
        raise
    await context.recorder.event(
        owner, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}"
    )
    return made


def is_alive(pod: Object) -> bool:
    """Has not ended for good."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


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

"""Turns ownerReferences into deletions: what has lost its owners goes, as its owner's end asked.

Background: dependents go when the owner is gone. Foreground: the owner waits for them. Orphan: they
lose the reference. A reference to something in another namespace counts as one that nobody can
check: nothing is deleted for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.client.client import key_of
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.meta.errors import NotFound

OWNERS = "owners"
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def _owner_uids(obj: Object) -> list[str]:
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()]


class GarbageCollector:
    """The controller. ``kinds``: (apiVersion, kind) -> resource, of all that owns or is owned."""

    def __init__(
        self, context: Context, kinds: Mapping[tuple[str, str], tuple[Resource, bool]]
    ) -> None:
        self._context, self._kinds = context, kinds
        self._queue = WorkQueue(context.clock)
        self._resources = {resource for resource, _ in kinds.values()}
        for resource in self._resources:
            informer = context.informers.of(resource)
            informer.add_index(OWNERS, _owner_uids)
            informer.add_handler(self._handler(resource))
        self._by_name = {_name(resource): resource for resource in self._resources}

    def _handler(self, resource: Resource) -> Any:
        def changed(before: Object | None, after: Object | None) -> None:
            if after is None:
                assert before is not None
                for other, obj in self._dependents(before["metadata"]["uid"]):
                    self._add(other, obj)
                for owner in before["metadata"].get("ownerReferences") or ():
                    self._add_owner(owner, before)
            elif after["metadata"].get("ownerReferences") or self._is_waiting(after):
                self._add(resource, after)

        return changed

    def _add(self, resource: Resource, obj: Object) -> None:
        self._queue.add(f"{_name(resource)} {key_of(obj)}")

    def _add_owner(self, owner: Mapping[str, Any], dependent: Object) -> None:
        found = self._kinds.get((owner["apiVersion"], owner["kind"]))
        if found:
            resource, namespaced = found
            namespace = dependent["metadata"].get("namespace", "")
            key = f"{namespace}/{owner['name']}" if namespaced else owner["name"]
            self._queue.add(f"{_name(resource)} {key}")

    def _is_waiting(self, obj: Object) -> bool:
        metadata = obj["metadata"]
        finalizers = metadata.get("finalizers") or ()
        return "deletionTimestamp" in metadata and (
            FOREGROUND in finalizers or ORPHAN in finalizers
        )

    def _dependents(self, uid: str) -> list[tuple[Resource, Object]]:
        return [
            (resource, obj)
            for resource in self._resources
            for obj in self._context.informers.of(resource).by(OWNERS, uid)
        ]

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("garbage collector", self._queue, self._sync, workers=4)

    async def _sync(self, item: str) -> None:
        name, _, key = item.partition(" ")
        resource = self._by_name[name]
        obj = self._context.informers.of(resource).get(key)
        if obj is None:
            return
        if self._is_waiting(obj):
            await self._finish(resource, obj)
            return
        owners = obj["metadata"].get("ownerReferences") or ()
        if not owners or "deletionTimestamp" in obj["metadata"]:
            return
        states = [await self._state(owner, obj) for owner in owners]
        if all(state == "gone" for state in states):
            await self._delete(resource, obj, "Background")
        elif any(state == "waiting" for state in states) and "there" not in states:
            await self._delete(resource, obj, "Foreground")

    async def _state(self, owner: Mapping[str, Any], obj: Object) -> str:
        """``there``, ``waiting`` (for its dependents) or ``gone``; asked of the API, not a copy."""
        found = self._kinds.get((owner["apiVersion"], owner["kind"]))
        if found is None:
            return "there"  # a kind that nobody here knows: nothing is deleted for it
        resource, namespaced = found
        namespace = obj["metadata"].get("namespace", "")
        if namespaced and not namespace:
            return "there"
        try:
            live = await self._context.client.get(
                resource, owner["name"], namespace if namespaced else ""
            )
        except NotFound:
            return "gone"
        if live["metadata"]["uid"] != owner["uid"]:
            return "gone"
        finalizers = live["metadata"].get("finalizers") or ()
        deleting = "deletionTimestamp" in live["metadata"]
        return "waiting" if deleting and FOREGROUND in finalizers else "there"

    async def _finish(self, resource: Resource, obj: Object) -> None:
        """Take away our finalizer when dependents are gone, or are nobody's any more."""
        metadata = obj["metadata"]
        dependents = self._dependents(metadata["uid"])
        finalizers = list(metadata.get("finalizers") or ())
        if ORPHAN in finalizers:
            for other, each in dependents:
                await self._disown(other, each, metadata["uid"])
            finalizers.remove(ORPHAN)
        elif FOREGROUND in finalizers:
            blocking = [
                (other, each)
                for other, each in dependents
                if any(
                    owner["uid"] == metadata["uid"] and owner.get("blockOwnerDeletion")
                    for owner in each["metadata"]["ownerReferences"]
                )
            ]
            for other, each in dependents:
                if "deletionTimestamp" not in each["metadata"]:
                    await self._delete(other, each, "Foreground")
            if blocking:
                return
            finalizers.remove(FOREGROUND)
        patch = {"metadata": {"uid": metadata["uid"], "finalizers": finalizers or None}}
        await self._context.client.patch(
            resource, metadata["name"], patch, metadata.get("namespace", "")
        )

    async def _disown(self, resource: Resource, obj: Object, uid: str) -> None:
        metadata = obj["metadata"]
        owners = [o for o in metadata["ownerReferences"] if o["uid"] != uid]
        patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": owners or None}}
        try:
            await self._context.client.patch(
                resource, metadata["name"], patch, metadata.get("namespace", "")
            )
        except NotFound:
            return

    async def _delete(self, resource: Resource, obj: Object, propagation: str) -> None:
        metadata = obj["metadata"]
        try:
            await self._context.client.delete(
                resource, metadata["name"], metadata.get("namespace", ""),
                uid=metadata["uid"], propagation=propagation,
            )  # fmt: skip
        except NotFound:
            return


def _name(resource: Resource) -> str:
    return f"{resource.group}/{resource.plural}"

"""Turns ownerReferences into deletions: what has lost its owners goes, as its owner's end asked.

Background: dependents go when the owner is gone. Foreground: the owner waits for them. Orphan: they
lose the reference. What still has another owner loses the reference only. A reference to something
that lives in another namespace counts as one that nobody can check: nothing is deleted for it, and
it is said (F19).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.client.client import key_of
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.meta.errors import NotFound

OWNERS, UID = "owners", "uid"
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
            informer.add_index(UID, lambda obj: [obj["metadata"]["uid"]])
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
                return
            if after["metadata"].get("ownerReferences") or self._is_waiting(after):
                self._add(resource, after)
            if before is not None:  # an owner that waits may have one less to wait for
                now = after["metadata"].get("ownerReferences") or ()
                for owner in before["metadata"].get("ownerReferences") or ():
                    if owner not in now:
                        self._add_owner(owner, before)

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
        states = {owner["uid"]: await self._state(owner, obj) for owner in owners}
        if "there" in states.values():
            lost = {uid for uid, state in states.items() if state != "there"}
            if lost:
                await self._disown(resource, obj, lost)
        elif "waiting" in states.values():
            if any(self._is_waiting(each) for _, each in self._dependents(obj["metadata"]["uid"])):
                await self._unblock(resource, obj)  # owners in a circle wait for each other
            await self._delete(resource, obj, "Foreground")
        else:
            await self._delete(resource, obj, _policy(obj))

    async def _state(self, owner: Mapping[str, Any], obj: Object) -> str:
        """``there``, ``waiting`` (for its dependents) or ``gone``; asked of the API, not a copy."""
        found = self._kinds.get((owner["apiVersion"], owner["kind"]))
        if found is None:
            return "there"  # a kind that nobody here knows: nothing is deleted for it
        resource, namespaced = found
        namespace = obj["metadata"].get("namespace", "")
        if namespaced and not namespace:
            await self._say_invalid(owner, obj)
            return "there"
        if namespaced and self._lives_elsewhere(resource, owner["uid"], namespace):
            await self._say_invalid(owner, obj)
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

    def _lives_elsewhere(self, resource: Resource, uid: str, namespace: str) -> bool:
        found = self._context.informers.of(resource).by(UID, uid)
        return any(each["metadata"].get("namespace") != namespace for each in found)

    async def _say_invalid(self, owner: Mapping[str, Any], obj: Object) -> None:
        namespace = obj["metadata"].get("namespace", "")
        said = ", ".join(f"{name}: {owner.get(name)}"
                         for name in ("apiVersion", "kind", "name", "uid"))  # fmt: skip
        await self._context.recorder.event(
            obj, "Warning", "OwnerRefInvalidNamespace",
            f'ownerRef [{said}] does not exist in namespace "{namespace}"',
        )  # fmt: skip

    async def _finish(self, resource: Resource, obj: Object) -> None:
        """Take away our finalizer when dependents are gone, or are nobody's any more."""
        metadata = obj["metadata"]
        dependents = self._dependents(metadata["uid"])
        finalizers = list(metadata.get("finalizers") or ())
        if ORPHAN in finalizers:
            for other, each in dependents:
                await self._disown(other, each, {metadata["uid"]})
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
            for other, each in dependents:  # each is looked at: it may have other owners
                if "deletionTimestamp" not in each["metadata"]:
                    self._add(other, each)
            if blocking:
                return
            finalizers.remove(FOREGROUND)
        await self._change(resource, obj, {"finalizers": finalizers or None})

    async def _disown(self, resource: Resource, obj: Object, uids: set[str]) -> None:
        owners = [o for o in obj["metadata"]["ownerReferences"] if o["uid"] not in uids]
        await self._change(resource, obj, {"ownerReferences": owners or None})

    async def _unblock(self, resource: Resource, obj: Object) -> None:
        owners = [{**owner, "blockOwnerDeletion": False}
                  for owner in obj["metadata"]["ownerReferences"]]  # fmt: skip
        await self._change(resource, obj, {"ownerReferences": owners})

    async def _change(self, resource: Resource, obj: Object, change: dict[str, Any]) -> None:
        """Of the object as it was seen; Conflict where it has changed since."""
        metadata = obj["metadata"]
        known = {name: metadata[name] for name in ("uid", "resourceVersion")}
        patch = {"metadata": {**known, **change}}
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


def _policy(obj: Object) -> str:
    """How an object's own dependents go: as its finalizers ask."""
    finalizers = obj["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


def _name(resource: Resource) -> str:
    return f"{resource.group}/{resource.plural}"

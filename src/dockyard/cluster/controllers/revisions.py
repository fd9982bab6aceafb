"""Turns a workload's template into ControllerRevisions, so that old ones can be made again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dockyard.cluster.client.client import copy_of
from dockyard.cluster.client.resources import REVISIONS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import OWNER, Context, owner_uids, short_hash
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

HASH = "controller.kubernetes.io/hash"


class History:
    """The revisions of all workloads of a kind."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._found = context.informers.of(REVISIONS)
        self._found.add_index(OWNER, owner_uids)

    def of(self, owner: Object) -> list[Object]:
        """The oldest first."""
        found = self._found.by(OWNER, owner["metadata"]["uid"])
        return sorted(found, key=lambda each: (each["revision"], each["metadata"]["name"]))

    async def newest(self, owner: Object, reference: dict[str, Any]) -> tuple[Object, int]:
        """The revision of the owner's template, made or put to the end; and the collisions."""
        found, data = self.of(owner), data_of(owner)
        collisions = int(owner.get("status", {}).get("collisionCount") or 0)
        number = int(found[-1]["revision"]) + 1 if found else 1
        same = [each for each in found if each["data"] == data]
        if same and same[-1] is found[-1]:
            return same[-1], collisions
        if same:  # a template that was used before
            metadata = same[-1]["metadata"]
            again = await self._context.client.patch(
                REVISIONS, metadata["name"], {"revision": number}, metadata["namespace"]
            )
            return again, collisions
        while True:
            made = await self._make(owner, reference, data, number, collisions)
            if made is not None:
                return made, collisions
            collisions += 1

    async def _make(
        self, owner: Object, reference: dict[str, Any], data: Any, number: int, collisions: int
    ) -> Object | None:
        """None: the name is another template's."""
        metadata, digest = owner["metadata"], short_hash(data, collisions)
        labels = owner["spec"]["selector"].get("matchLabels") or {}
        name, namespace = f"{metadata['name']}-{digest}", metadata["namespace"]
        wanted = {
            "metadata": {"name": name, "namespace": namespace, "labels": {**labels, HASH: digest},
                         "ownerReferences": [reference]},
            "data": data,
            "revision": number,
        }  # fmt: skip
        try:
            return await self._context.client.create(REVISIONS, wanted)
        except AlreadyExists:
            live = await self._context.client.get(REVISIONS, name, namespace)
            return live if live["data"] == data else None

    async def forget(self, owner: Object, used: Iterable[str], limit: int) -> None:
        """Remove the oldest revisions that nobody uses, beyond the limit."""
        kept = set(used)
        idle = [each for each in self.of(owner) if each["metadata"]["name"] not in kept]
        for each in idle[: max(0, len(idle) - limit)]:
            metadata = each["metadata"]
            try:
                await self._context.client.delete(
                    REVISIONS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
                )
            except NotFound:
                continue


def data_of(owner: Object) -> dict[str, Any]:
    """What ``kubectl rollout undo`` patches back."""
    template = copy_of(owner["spec"]["template"])
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def template_of(found: Object) -> dict[str, Any]:
    """The pod template of a revision."""
    template = copy_of(found["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template

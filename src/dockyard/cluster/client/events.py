"""Turns what a component has to say of an object into Events: a repetition counts, a flood ends.

client-go's rules: the same thing said again raises ``count``; one object may cause a burst of 25
events and then one in five minutes.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Conflict, DockyardError
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import EVENTS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

log = logging.getLogger("dockyard.events")
REMEMBERED = 4096
LONGEST_MESSAGE = 1024
BURST, REFILL_SECONDS = 25, 300.0
MOST_AT_ONCE = 64


class Recorder:
    """Writes Events of one component. What it fails to write is logged, and stops nothing."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client, self._clock = client, clock
        self._source = {"component": component, **({"host": host} if host else {})}
        self._seen: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def event(
        self, obj: Object, kind: str, reason: str, message: str, field: str = ""
    ) -> None:
        """``kind`` is Normal or Warning; ``field`` names a part, as ``spec.containers{web}``."""
        metadata = obj["metadata"]
        uid = metadata.get("uid", "")
        if not self._may_speak(uid):
            return
        key = (uid, field, kind, reason, message)
        name, count = self._seen.get(key, ("", 0))
        try:
            self._seen[key] = await self._write(obj, name, count + 1, kind, reason, message, field)
        except (DockyardError, OSError) as error:
            log.info("event %s of %s: not written: %s", reason, metadata["name"], error)
            self._seen.pop(key, None)
            return
        _keep(self._seen, key)

    def _may_speak(self, uid: str) -> bool:
        """Take a token of the object's bucket, if one is left."""
        time = self._clock.monotonic()
        tokens, since = self._tokens.get(uid, (float(BURST), time))
        tokens = min(float(BURST), tokens + (time - since) / REFILL_SECONDS)
        spoken = tokens >= 1.0
        self._tokens[uid] = (tokens - 1.0 if spoken else tokens, time)
        _keep(self._tokens, uid)
        return spoken

    async def _write(
        self, obj: Object, name: str, count: int, kind: str, reason: str, message: str, field: str
    ) -> tuple[str, int]:
        """The Event's name and its count: one more of a known one, or a new one."""
        namespace = obj["metadata"].get("namespace") or "default"
        stamp = now.stamp(self._clock.time())
        if name:
            patch = {"count": count, "lastTimestamp": stamp}
            try:
                await self._client.patch(EVENTS, name, patch, namespace)
                return name, count
            except NotFound:  # its time to live is over: it begins anew
                count = 1
        return await self._create(obj, namespace, {
            "involvedObject": _reference(obj, field),
            "reason": reason,
            "message": message[:LONGEST_MESSAGE],
            "type": kind,
            "count": count,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": self._source,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
        }), count  # fmt: skip

    async def _create(self, obj: Object, namespace: str, event: dict[str, Any]) -> str:
        """A new Event's name: the object's and the nanosecond, so that events of one second, sorted
        by name, are in their order (client-go names them so, and ``kubectl describe`` shows it)."""
        nanosecond = int(self._clock.time() * 1e9)
        for later in range(MOST_AT_ONCE):
            name = f"{obj['metadata']['name'][:200]}.{nanosecond + later:x}"
            try:
                metadata = {"name": name, "namespace": namespace}
                await self._client.create(EVENTS, {"metadata": metadata, **event})
            except AlreadyExists:
                continue
            return name
        raise Conflict(f"event {name}: {MOST_AT_ONCE} names are taken")


def _reference(obj: Object, field: str) -> dict[str, Any]:
    metadata = obj["metadata"]
    found = {
        "kind": obj.get("kind"), "apiVersion": obj.get("apiVersion"), "name": metadata["name"],
        "namespace": metadata.get("namespace"), "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"), "fieldPath": field,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _keep(found: OrderedDict[Any, Any], key: Any) -> None:
    """The key was used last; what was not used for longest goes."""
    found.move_to_end(key)
    if len(found) > REMEMBERED:
        found.popitem(last=False)

"""Turns what a component has to say of an object into Events, counting repetitions."""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import EVENTS
from dockyard.cluster.client.transport import Object

log = logging.getLogger("dockyard.events")
REMEMBERED = 4096
LONGEST_MESSAGE = 1024


class Recorder:
    """Writes Events of one component. What it fails to write is logged, and stops nothing."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client, self._clock = client, clock
        self._source = {"component": component, **({"host": host} if host else {})}
        self._seen: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    async def event(
        self, obj: Object, kind: str, reason: str, message: str, field: str = ""
    ) -> None:
        """``kind`` is Normal or Warning; ``field`` names a part, as ``spec.containers{web}``."""
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        key = (metadata.get("uid", ""), field, kind, reason, message)
        stamp = now.stamp(self._clock.time())
        name, count = self._seen.get(key, ("", 0))
        try:
            if name:
                patch = {"count": count + 1, "lastTimestamp": stamp}
                await self._client.patch(EVENTS, name, patch, namespace)
            else:
                name = f"{metadata['name'][:200]}.{secrets.token_hex(8)}"
                involved = {
                    "kind": obj.get("kind", ""),
                    "apiVersion": obj.get("apiVersion", ""),
                    "name": metadata["name"],
                    "namespace": metadata.get("namespace", ""),
                    "uid": metadata.get("uid", ""),
                    **({"fieldPath": field} if field else {}),
                }
                await self._client.create(
                    EVENTS,
                    {
                        "metadata": {"name": name, "namespace": namespace},
                        "involvedObject": {k: v for k, v in involved.items() if v},
                        "reason": reason,
                        "message": message[:LONGEST_MESSAGE],
                        "type": kind,
                        "count": 1,
                        "firstTimestamp": stamp,
                        "lastTimestamp": stamp,
                        "source": self._source,
                        "reportingComponent": self._source["component"],
                        "reportingInstance": self._source.get("host", ""),
                    },
                )
        except (DockyardError, OSError) as error:
            log.info("event %s of %s: not written: %s", reason, metadata["name"], error)
            self._seen.pop(key, None)
            return
        self._seen[key] = (name, count + 1)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

"""Turns a list and a watch into a local copy that is always about right, and calls on each change.

The copy's objects are shared: nobody changes them. A watch that ends goes on where it was; one
whose revision is forgotten lists again, and the differences are delivered as changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client, key_of
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.meta.errors import Expired, Gone

log = logging.getLogger("dockyard.informer")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

Handler = Callable[[Object | None, Object | None], None]
"""Called with the object before and after; None where there was or is none. Must not block."""
Index = Callable[[Object], Iterable[str]]


HandOut = Callable[[Object], None]
"""Told of each object before anybody else has it: see :mod:`dockyard.cluster.client.mutations`."""


def _to_nobody(obj: Object) -> None:
    """Outside tests nobody keeps count."""


class Informer:
    """The local copy of one resource."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        clock: Clock,
        hand_out: HandOut = _to_nobody,
        **options: str,
    ) -> None:
        self.resource = resource
        self._client, self._clock, self._options = client, clock, options
        self._hand_out = hand_out
        self._objects: dict[str, Object] = {}
        self._handlers: list[Handler] = []
        self._indexes: dict[str, tuple[Index, dict[str, dict[str, Object]]]] = {}
        self._synced = asyncio.Event()
        self._revision = ""

    # reading

    def get(self, key: str) -> Object | None:
        """By ``namespace/name``."""
        return self._objects.get(key)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def by(self, index: str, value: str) -> list[Object]:
        """Objects that an index has under a value."""
        return list(self._indexes[index][1].get(value, {}).values())

    def in_namespace(self, namespace: str) -> list[Object]:
        """Objects of one namespace."""
        return [obj for obj in self if obj["metadata"].get("namespace") == namespace]

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    async def synced(self) -> None:
        """Return when the copy is whole for the first time."""
        await self._synced.wait()

    # wiring

    def add_handler(self, handler: Handler) -> None:
        """Call on each change; what is there already is delivered now."""
        self._handlers.append(handler)
        for obj in self:
            handler(None, obj)

    def add_index(self, name: str, index: Index) -> None:
        """Keep objects findable by a value of theirs."""
        if name in self._indexes:
            return
        self._indexes[name] = (index, {})
        for obj in self:
            self._index(name, None, obj)

    async def run(self) -> None:
        """Keep the copy right until cancelled."""
        pause = SHORTEST_PAUSE
        while True:
            seen = False
            try:
                if not self._revision:
                    await self._list()
                async for _ in self._changes():
                    seen = True
            except (Expired, Gone):
                self._revision = ""
            except (DockyardError, OSError) as error:
                log.warning("%s: %s", self.resource.plural, error)
            if seen:
                pause = SHORTEST_PAUSE
            else:  # a server that ends or refuses each watch at once shall not be asked at once
                await self._clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _list(self) -> None:
        items, revision = await self._client.list(self.resource, **self._options)
        fresh = {key_of(item): item for item in items}
        for key in [key for key in self._objects if key not in fresh]:
            self._set(key, None)
        for key, obj in fresh.items():
            if self._objects.get(key) != obj:
                self._set(key, obj)
        self._revision = revision
        self._synced.set()

    async def _changes(self) -> AsyncIterator[None]:
        """Take over what changes; yields after each."""
        options = {**self._options, "resourceVersion": self._revision,
                   "allowWatchBookmarks": "true"}  # fmt: skip
        async for event in self._client.watch(self.resource, **options):
            if event.type == "DELETED":
                self._set(key_of(event.object), None, event.object)
            elif event.type in ("ADDED", "MODIFIED"):
                self._set(key_of(event.object), event.object)
            self._revision = event.object["metadata"].get("resourceVersion", self._revision)
            yield

    def _set(self, key: str, obj: Object | None, last: Object | None = None) -> None:
        before = self._objects.get(key)
        if obj is None:
            self._objects.pop(key, None)
        else:
            self._hand_out(obj)
            self._objects[key] = obj
        for name in self._indexes:
            self._index(name, before, obj)
        if before is None and obj is None:
            return
        if obj is None and last is not None:
            self._hand_out(last)
            before = last
        for handler in self._handlers:
            try:
                handler(before, obj)
            except Exception:  # one handler's fault is not the copy's, nor the others'
                log.exception("%s: a handler failed on %s", self.resource.plural, key)

    def _index(self, name: str, before: Object | None, after: Object | None) -> None:
        index, found = self._indexes[name]
        if before is not None:
            for value in index(before):
                below = found.get(value, {})
                below.pop(key_of(before), None)
                if not below:
                    found.pop(value, None)
        if after is not None:
            for value in index(after):
                found.setdefault(value, {})[key_of(after)] = after


class Informers:
    """One informer a resource, shared by all who need it."""

    def __init__(self, client: Client, clock: Clock, hand_out: HandOut = _to_nobody) -> None:
        self._client, self._clock, self._hand_out = client, clock, hand_out
        self._all: dict[tuple[Resource, tuple[tuple[str, str], ...]], Informer] = {}

    def of(self, resource: Resource, **options: str) -> Informer:
        """The informer of a resource; made if it is the first to ask."""
        key = (resource, tuple(sorted(options.items())))
        if key not in self._all:
            self._all[key] = Informer(
                self._client, resource, self._clock, self._hand_out, **options
            )
        return self._all[key]

    def start(self, tasks: Tasks) -> None:
        """Run every informer that has been asked for."""
        for (resource, _), informer in self._all.items():
            tasks.start(informer.run(), name=f"informer {resource.plural}", essential=True)

    async def synced(self) -> None:
        """Return when every copy is whole."""
        for informer in list(self._all.values()):
            await informer.synced()

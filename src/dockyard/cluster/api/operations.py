"""Turns checked requests into reads of the caches and writes of the store: the generic registry.

What is common to every kind is here; what a kind adds is in :mod:`dockyard.cluster.kinds`, what the
cluster adds in :mod:`dockyard.cluster.api.admission`.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from typing import Any

import orjson

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.cluster.api import admission, patching
from dockyard.cluster.api.admission import Attributes
from dockyard.cluster.api.cache import Cache, Caches, Matches, Watcher, key_of
from dockyard.cluster.api.options import (
    ListOptions,
    WriteOptions,
    list_options,
    make_token,
    write_options,
)
from dockyard.cluster.api.rows import Row, encode, head_of
from dockyard.cluster.client.transport import Request, User
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta import errors, objectmeta, resourceversion
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.store.contract import Compacted, Entry, FutureRevision, KeyConflict, Store

EVENT_SECONDS = 3600.0
"""How long Events live."""
SLICE = 200
"""Rows that are looked at in one go."""
TRIES = 8
"""How often a patch without a resourceVersion is applied anew after a conflict."""

Object = dict[str, Any]
Change = Callable[[Object], Object]


class Found:
    """A list: rows of one revision, and how it goes on."""

    __slots__ = ("remaining", "revision", "rows", "token")

    def __init__(
        self, rows: list[Row], revision: int, token: str = "", remaining: int | None = None
    ) -> None:
        """``remaining``: how many follow; nobody knows how many of them a selector takes."""
        self.rows, self.revision, self.token, self.remaining = rows, revision, token, remaining


class Operations:
    """Reads and writes of every stored kind."""

    def __init__(
        self,
        store: Store,
        caches: Caches,
        registry: Registry,
        clock: Clock,
        steps: tuple[admission.Step, ...],
        warn: Callable[[str], None],
    ) -> None:
        self.caches, self.registry = caches, registry
        self._store, self._clock, self._steps, self._warn = store, clock, steps, warn

    def stored(self, kind: Kind) -> Kind:
        """The version that objects of a kind are stored in."""
        found = self.registry.resource(*kind.hub, kind.plural) if kind.hub else None
        return found or kind

    def cache(self, kind: Kind) -> Cache:
        return self.caches.add(self.stored(kind))

    # reading

    def get(self, kind: Kind, namespace: str, name: str) -> Row:
        """One object. Raises NotFound."""
        row = self.cache(kind).row(key_of(kind, namespace, name))
        if row is None:
            raise errors.not_found(kind.plural, name, kind.group)
        return row

    async def list(self, kind: Kind, request: Request) -> Found:
        """A page of objects."""
        options = list_options(request.options, kind)
        cache = self.cache(kind)
        if options.revision is not None and options.revision > self.caches.revision:
            raise errors.future_revision(options.revision, self.caches.revision)
        prefix = prefix_for(cache, kind, request.namespace)
        exact = options.match == "Exact" and options.revision
        at = options.at or (options.revision if exact else 0) or 0
        if at and at != self.caches.revision:
            return await self._list_past(kind, prefix, options, at)
        revision = self.caches.revision
        if options.selects:
            most = options.limit + 1 if options.limit else 0
            rows = await select(
                self._clock, cache.range(prefix, options.after), matcher(options), most
            )
        else:
            rows = cache.range(prefix, options.after, options.limit + 1 if options.limit else None)
        if not options.limit or len(rows) <= options.limit:
            return Found(rows, revision)
        last = rows[options.limit - 1].key
        remaining = None if options.selects else cache.count(prefix, last)
        return Found(rows[: options.limit], revision, make_token(last, revision), remaining)

    async def _list_past(self, kind: Kind, prefix: str, options: ListOptions, at: int) -> Found:
        """A list as it was: the page before was of that revision."""
        try:
            page = await self._store.list(prefix, revision=at, after=options.after)
        except Compacted:
            raise errors.expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            ) from None
        except FutureRevision as error:
            raise errors.future_revision(at, error.current) from None
        rows: list[Row] = []
        for start in range(0, len(page.entries), SLICE):
            if start:
                await self._clock.sleep(0)
            rows += [self._row(kind, entry) for entry in page.entries[start : start + SLICE]]
        rows = await select(self._clock, rows, matcher(options))
        if not options.limit or len(rows) <= options.limit:
            return Found(rows, at)
        remaining = None if options.selects else len(rows) - options.limit
        token = make_token(rows[options.limit - 1].key, at)
        return Found(rows[: options.limit], at, token, remaining)

    def watch(self, kind: Kind, request: Request) -> tuple[Watcher, ListOptions]:
        """A watch; the caller ends it with ``cache(kind).unwatch``."""
        options = list_options(request.options, kind, watch=True)
        revision = options.revision or 0
        if revision > self.caches.revision:
            raise errors.future_revision(revision, self.caches.revision)
        cache = self.cache(kind)
        matches = matcher(options)
        prefix = prefix_for(cache, kind, request.namespace)
        return cache.watch(prefix, matches, revision), options

    # writing

    async def create(self, kind: Kind, request: Request, user: User) -> Row:
        """A new object."""
        options = write_options(request.options, request.verb)
        obj = self._decoded(kind, request, options)
        metadata = obj["metadata"]
        objectmeta.stamp(
            obj,
            uid=str(uuid.uuid4()),
            created=now.stamp(self._clock.time()),
            namespace=request.namespace if kind.namespaced else "",
            chance=secrets.randbits(32),
        )
        kind.prepare_for_create(obj)
        self._admit(Attributes("create", kind, request.namespace, "", user, None), obj)
        kind.default(obj)
        kind.require_valid(obj)
        name = metadata["name"]
        key, value = key_of(kind, request.namespace, name), self._encode(kind, obj)
        if options.dry_run:
            if self.cache(kind).row(key):
                raise errors.already_exists(kind.plural, name, kind.group)
            return self._row(kind, Entry(key, value, 0, 0))
        ttl = EVENT_SECONDS if kind.kind == "Event" else 0.0
        try:
            revision = await self._store.create(key, value, ttl=ttl)
        except KeyConflict:
            await self._catch_up()
            raise errors.already_exists(kind.plural, name, kind.group) from None
        await self.caches.reached(revision)
        return self._row(kind, Entry(key, value, revision, revision))

    async def update(self, kind: Kind, request: Request, user: User) -> Row:
        """Another version of an object, or of a part of it."""
        options = write_options(request.options, request.verb)
        obj = self._decoded(kind, request, options)
        base = resourceversion.of_object(obj["metadata"])
        name = obj["metadata"].get("name", "")
        if name and name != request.name:
            raise errors.BadRequest(
                f"the name of the object ({name}) does not match the name on the URL "
                f"({request.name})"
            )
        obj["metadata"]["name"] = request.name
        return await self._change(kind, request, user, options, lambda _: obj, base)

    async def patch(self, kind: Kind, request: Request, user: User) -> Row:
        """An object with a patch applied; again on the newer one if it has changed meanwhile."""
        options = write_options(request.options, request.verb)

        def change(current: Object) -> Object:
            patched = patching.apply(self.registry, kind, request, current)
            if patched.get("metadata", {}).get("name") != request.name:
                fault = field.invalid(
                    "metadata.name", patched.get("metadata", {}).get("name"), "field is immutable"
                )
                raise errors.invalid(kind.kind, request.name, [fault], kind.group)
            self._conform(kind, patched, request, options)
            return patched

        return await self._change(kind, request, user, options, change, None)

    async def _change(
        self,
        kind: Kind,
        request: Request,
        user: User,
        options: WriteOptions,
        change: Change,
        base: int | None,
    ) -> Row:
        row = self.get(kind, request.namespace, request.name)
        for _ in range(TRIES):
            if base is not None and base != row.revision:
                raise errors.conflict(kind.plural, request.name, kind.group)
            old = kind.from_hub(row.object())
            obj = change(kind.from_hub(row.copy()))
            given = resourceversion.of_object(obj["metadata"])
            if given is not None and given != row.revision:
                raise errors.conflict(kind.plural, request.name, kind.group)
            try:
                return await self._store_changed(kind, request, user, options, obj, old, row)
            except KeyConflict as conflict:
                await self._catch_up()
                if base is not None:
                    raise errors.conflict(kind.plural, request.name, kind.group) from None
                if conflict.current is None:
                    raise errors.not_found(kind.plural, request.name, kind.group) from None
                row = self._row(kind, conflict.current)
        raise errors.conflict(kind.plural, request.name, kind.group)

    async def _store_changed(
        self,
        kind: Kind,
        request: Request,
        user: User,
        options: WriteOptions,
        obj: Object,
        old: Object,
        row: Row,
    ) -> Row:
        if kind.namespaced:
            obj["metadata"].setdefault("namespace", request.namespace)
        uid = obj["metadata"].get("uid")
        if uid and uid != old["metadata"]["uid"]:
            raise errors.conflict(
                kind.plural, request.name, kind.group,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                f"{old['metadata']['uid']}",
            )  # fmt: skip
        objectmeta.carry_over(obj, old)
        kind.prepare_for_update(obj, old, request.subresource)
        wanted = Attributes("update", kind, request.namespace, request.subresource, user, old)
        self._admit(wanted, obj)
        kind.default(obj)
        kind.require_valid(obj, old, request.subresource)
        value = self._encode(kind, obj)
        if options.dry_run or _says_the_same(value, row.entry.value):
            return self._row(kind, row.entry._replace(value=value))
        if _is_finished(obj):
            gone = await self._store.delete(row.key, row.revision)
            await self.caches.reached(gone.modified)
            return self._row(kind, gone._replace(value=value))
        revision = await self._store.update(row.key, value, row.revision)
        await self.caches.reached(revision)
        return self._row(kind, Entry(row.key, value, row.entry.created, revision))

    async def delete(self, kind: Kind, request: Request, user: User) -> tuple[Row, bool]:
        """Remove an object, or mark it: what it was (or is), and whether it has gone."""
        body = request.body if isinstance(request.body, dict) else {}
        dry_run = write_options(request.options, request.verb).dry_run or bool(body.get("dryRun"))
        row = self.get(kind, request.namespace, request.name)
        for _ in range(TRIES):
            old = row.object()
            _check_preconditions(kind, old, body)
            wanted = Attributes("delete", kind, request.namespace, "", user, old)
            self._admit(wanted, row.copy())
            marked = self._marked(kind, row.copy(), request, body)
            try:
                if marked is not None and not _is_finished(marked):
                    value = encode(row.kind, marked)
                    if dry_run or value == row.entry.value:
                        return self._row(kind, row.entry._replace(value=value)), False
                    revision = await self._store.update(row.key, value, row.revision)
                    await self.caches.reached(revision)
                    entry = Entry(row.key, value, row.entry.created, revision)
                    return self._row(kind, entry), False
                if dry_run:
                    return row, True
                gone = await self._store.delete(row.key, row.revision)
            except KeyConflict as conflict:
                await self._catch_up()
                if conflict.current is None:
                    raise errors.not_found(kind.plural, request.name, kind.group) from None
                row = self._row(kind, conflict.current)
                continue
            await self.caches.reached(gone.modified)
            return row, True
        raise errors.conflict(kind.plural, request.name, kind.group)

    def _marked(self, kind: Kind, obj: Object, request: Request, body: Object) -> Object | None:
        """The object with its deletion written into it; None where it simply goes."""
        metadata = obj["metadata"]
        finalizers = list(metadata.get("finalizers") or [])
        policy = body.get("propagationPolicy") or request.options.get("propagationPolicy") or ""
        for name, wanted in (("foregroundDeletion", "Foreground"), ("orphan", "Orphan")):
            if policy == wanted and name not in finalizers:
                finalizers.append(name)
        grace = _grace(kind, obj, request, body)
        namespace = kind.plural == "namespaces" and (obj.get("spec") or {}).get("finalizers")
        if not finalizers and not grace and not namespace:
            return None
        if finalizers:
            metadata["finalizers"] = finalizers
        before = metadata.get("deletionGracePeriodSeconds")
        if "deletionTimestamp" not in metadata or (before is not None and grace < before):
            metadata["deletionTimestamp"] = now.stamp(self._clock.time() + grace)
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata:
                metadata["generation"] += 1
        if namespace:
            obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return obj

    async def replace(self, kind: Kind, obj: Object) -> None:
        """Store an object that was read and changed here; Conflict if it has changed meanwhile."""
        metadata = obj["metadata"]
        key = key_of(kind, metadata.get("namespace", ""), metadata["name"])
        expected = int(metadata["resourceVersion"])
        try:
            if _is_finished(obj):
                revision = (await self._store.delete(key, expected)).modified
            else:
                revision = await self._store.update(key, self._encode(kind, obj), expected)
        except KeyConflict:
            await self._catch_up()
            raise errors.conflict(kind.plural, metadata["name"], kind.group) from None
        await self.caches.reached(revision)

    def stamp(self) -> str:
        """Now, as metav1.Time."""
        return now.stamp(self._clock.time())

    # parts

    async def _catch_up(self) -> None:
        """Before a conflict is told: who reads again must see what it was about."""
        await self.caches.reached(self._store.revision())

    def _decoded(self, kind: Kind, request: Request, options: WriteOptions) -> Object:
        obj = request.body
        if not isinstance(obj, dict):
            raise errors.BadRequest("the body of the request is not an object")
        if obj.get("kind", kind.kind) != kind.kind or (
            obj.get("apiVersion", kind.api_version) != kind.api_version
        ):
            raise errors.BadRequest(
                f"the API version in the data ({obj.get('apiVersion')}, Kind={obj.get('kind')}) "
                f"does not match the expected API version ({kind.api_version}, Kind={kind.kind})"
            )
        self._conform(kind, obj, request, options)
        metadata = obj.setdefault("metadata", {})
        given = metadata.get("namespace")
        if kind.namespaced and given and given != request.namespace:
            raise errors.BadRequest(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        return obj

    def _conform(self, kind: Kind, obj: Object, request: Request, options: WriteOptions) -> None:
        faults = [*request.faults, *self.registry.conform(kind, obj)]
        if faults and options.validation == "Strict":
            raise self.registry.strict_error(kind, faults)
        if options.validation == "Warn":
            for fault in faults:
                self._warn(fault)

    def _admit(self, wanted: Attributes, obj: Object) -> None:
        for step in self._steps:
            step.admit(wanted, obj)

    def _encode(self, kind: Kind, obj: Object) -> bytes:
        return encode(self.stored(kind), kind.to_hub(obj))

    def _row(self, kind: Kind, entry: Entry) -> Row:
        stored = self.stored(kind)
        return Row(stored, len(head_of(stored)), entry)


async def select(clock: Clock, rows: list[Row], matches: Matches, most: int = 0) -> list[Row]:
    """Those that match, ``most`` at most (0: all); the loop serves others after each slice."""
    found: list[Row] = []
    for start in range(0, len(rows), SLICE):
        if start:
            await clock.sleep(0)
        found += [row for row in rows[start : start + SLICE] if matches(row)]
        if most and len(found) >= most:
            return found[:most]
    return found


def prefix_for(cache: Cache, kind: Kind, namespace: str) -> str:
    """Where the objects of a namespace (or of all) are."""
    return f"{cache.prefix}{namespace}/" if kind.namespaced and namespace else cache.prefix


def matcher(options: ListOptions) -> Matches:
    """Whether a row is one that was asked for."""
    labels, fields = options.labels, options.fields
    by_label = not labels.empty
    by_field = bool(fields.requirements)

    def matches(row: Row) -> bool:
        if by_label and not labels.matches(row.labels):
            return False
        return not by_field or fields.matches(row.fields())

    return matches


def _says_the_same(one: bytes, other: bytes) -> bool:
    """The same object, its keys perhaps in another order: no write, no event."""
    if one == other:
        return True
    return len(one) == len(other) and bool(orjson.loads(one) == orjson.loads(other))


def _is_finished(obj: Object) -> bool:
    """Marked as deleted, with nobody left who has to do something first."""
    metadata = obj["metadata"]
    return (
        "deletionTimestamp" in metadata
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not (obj.get("kind") == "Namespace" and (obj.get("spec") or {}).get("finalizers"))
    )


def _grace(kind: Kind, obj: Object, request: Request, body: Object) -> int:
    """Seconds that a pod has to end; nothing else has any. One without a node goes at once."""
    if kind.kind != "Pod":
        return 0
    given = body.get("gracePeriodSeconds")
    if given is None:
        given = request.options.get("gracePeriodSeconds")
    spec = obj.get("spec", {})
    if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = spec.get("terminationGracePeriodSeconds", 30) if given is None else int(given)
    return max(0, int(grace))


def _check_preconditions(kind: Kind, old: Object, body: Object) -> None:
    wanted = body.get("preconditions") or {}
    metadata = old["metadata"]
    for name, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(name) and wanted[name] != metadata.get(name):
            raise errors.conflict(
                kind.plural, metadata["name"], kind.group,
                f"Precondition failed: {label} in precondition: {wanted[name]}, {label} in object "
                f"meta: {metadata.get(name)}",
            )  # fmt: skip

"""Turns blobs that nothing needs any more into free space, while the registry serves.

Marked is what manifests refer to; what became used since the marking began (a push, a mount, a
question whether it is here) is in ``Store.fresh``, and each removal looks there under the store's
lock. What is younger than ``grace`` is left alone: its manifest may be on the way.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest, parse_digest
from dockyard.base.oci.manifest import LARGEST
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.registry.server import places
from dockyard.node.image.registry.server.documents import parse_pushed
from dockyard.node.image.registry.server.names import Repository
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Found, Store

log = logging.getLogger("dockyard.registry")
GRACE_SECONDS = 24 * 3600.0


class Policy(NamedTuple):
    """What may go."""

    grace: float = GRACE_SECONDS
    untagged: bool = False
    """Manifests too that no tag, index or subject leads to."""
    unused: float | None = None
    """A cache: whatever nobody asked for in so many seconds, tagged or not."""


class Swept(NamedTuple):
    """What a collection took away."""

    manifests: int = 0
    links: int = 0
    blobs: int = 0
    size: int = 0
    """Bytes on the disk."""


def collect(store: Store, policy: Policy) -> Swept:
    """One collection. One at a time; any thread."""
    with store.lock:
        store.fresh = set()
    try:
        manifests = links = 0
        for name in list(store.names):
            repository = Repository(name)
            manifests += _sweep_manifests(store, repository, policy)
            links += _sweep_links(store, repository, policy)
        blobs, size = _sweep_blobs(store, policy)
    finally:
        with store.lock:
            store.fresh = None
    swept = Swept(manifests, links, blobs, size)
    if any(swept):
        log.info("collected %d manifests, %d links, %d blobs, %d bytes", *swept)
    return swept


def _documents(store: Store, name: Repository) -> Iterator[Found]:
    """Every manifest, one after the other. A damaged one ends it: then nothing of its repository
    goes, for what it refers to is not known."""
    for digest in list(store.manifests(name)):
        try:
            yield store.manifest(name, digest)
        except Refusal as refusal:
            if refusal.code != "MANIFEST_UNKNOWN":  # else it was deleted meanwhile
                log.warning("%s: %s: not collected: %s", name, digest, refusal)
                raise _Damaged from refusal


class _Damaged(Exception):
    """A repository that is left alone."""


def _sweep_manifests(store: Store, name: Repository, policy: Policy) -> int:
    if not policy.untagged and policy.unused is None:
        return 0
    leads: dict[Digest, list[Digest]] = {}
    try:
        for document in _documents(store, name):
            pushed = parse_pushed(document.data, document.media_type)
            leads.setdefault(document.digest, []).extend(pushed.manifests)
            if pushed.subject is not None:  # who is about it stays as long as it does
                leads.setdefault(pushed.subject, []).append(document.digest)
    except _Damaged:
        return 0
    kept: set[Digest] = set()
    if policy.unused is None:
        waiting = []
        for tag in store.tags(name):
            with contextlib.suppress(Refusal):  # it was deleted meanwhile
                waiting.append(store.resolve(name, tag))
        while waiting:
            digest = waiting.pop()
            if digest not in kept:
                kept.add(digest)
                waiting += leads.get(digest, ())
    age = policy.grace if policy.unused is None else policy.unused
    swept = 0
    for digest in [one for one in store.manifests(name) if one in leads and one not in kept]:
        with store.lock:
            if _is_fresh(store, name, digest, places.manifest(name, digest), age):
                continue
            try:
                store.remove_manifest(name, digest)
            except Refusal:
                continue  # somebody was quicker
            swept += 1
    return swept


def _sweep_links(store: Store, name: Repository, policy: Policy) -> int:
    needed: set[str] = set()
    try:
        for document in _documents(store, name):
            needed |= _mentioned(document)
    except _Damaged:
        return 0
    swept = 0
    for digest in list(store.links(name)):
        if digest in needed and policy.unused is None:
            continue
        age = policy.grace if policy.unused is None else policy.unused
        with store.lock:
            if _is_fresh(store, name, digest, places.link(name, digest), age):
                continue
            try:
                store.remove_blob(name, digest)
            except Refusal:
                continue
            swept += 1
    return swept


def _mentioned(document: Found) -> set[str]:
    """All digests in a document, wherever they stand: an unknown field is no reason to delete."""
    found: set[str] = set()
    waiting: list[object] = [decode_object(document.data, document.digest, limit=LARGEST)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and value.startswith(("sha256:", "sha512:")):
            found.add(value)
    return found


def _is_fresh(store: Store, name: Repository, digest: Digest, path: str, age: float) -> bool:
    if store.fresh is not None and (name, digest) in store.fresh:
        return True
    try:
        return store.age(path) < age
    except FileNotFoundError:
        return True


def _sweep_blobs(store: Store, policy: Policy) -> tuple[int, int]:
    """Bytes that no repository has a link to."""
    used: set[str] = set()
    for name in list(store.names):
        repository = Repository(name)
        used.update(store.links(repository))
        used.update(store.manifests(repository))
    swept = size = 0
    for algorithm in list(store.driver.list(places.BLOBS)):
        for shard in list(store.driver.list(f"{places.BLOBS}/{algorithm.name}")):
            folder = f"{places.BLOBS}/{algorithm.name}/{shard.name}"
            for item in list(store.driver.list(folder)):
                try:
                    digest = parse_digest(f"{algorithm.name}:{item.name}")
                except Invalid:
                    continue  # it is not ours
                if digest in used:
                    continue
                freed = _remove_bytes(store, digest, policy)
                swept, size = swept + (freed is not None), size + (freed or 0)
    return swept, size


def _remove_bytes(store: Store, digest: Digest, policy: Policy) -> int | None:
    path = places.blob(digest)
    with store.lock:
        assert store.fresh is not None
        if any(digest == other for _, other in store.fresh):
            return None
        freed = store.driver.size(path)
        old = freed is not None and store.age(path) >= policy.grace
        if not old or not store.driver.remove(path):
            return None
    return freed

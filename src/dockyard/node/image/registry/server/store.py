"""Turns repositories, blobs, manifests and tags into files, each change whole or not at all.

Every method blocks and may be called by any thread. What somebody asks for is protected from the
collector for a while: a client that is told "it is here" does not push it again.
"""

from __future__ import annotations

import bisect
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest, hash_document, parse_digest
from dockyard.node.image.registry.server import places
from dockyard.node.image.registry.server.documents import Pushed
from dockyard.node.image.registry.server.driver import Driver
from dockyard.node.image.registry.server.names import Repository, Tag, is_name, is_tag
from dockyard.node.image.registry.server.quota import Quotas
from dockyard.node.image.registry.server.refusal import Refusal

FUTURE_SECONDS = 3600.0
STALE_SECONDS = 600.0
"""How old the mark of a blob's last use may become before it is renewed."""


class Found(NamedTuple):
    """A manifest as it was pushed."""

    digest: Digest
    media_type: str
    data: bytes


class Store:
    """All repositories of one driver."""

    def __init__(self, driver: Driver, now: Callable[[], float], quotas: Quotas) -> None:
        """``now``: seconds since the epoch, as no change of the machine's time moves them."""
        self.driver, self.now, self.quotas = driver, now, quotas
        self.lock = threading.RLock()
        self.names: list[str] = sorted(_repositories(driver))
        """Every repository's name."""
        self.versions: dict[str, int] = {}
        """How often a repository's manifests or tags have changed, for whoever keeps copies."""
        self.fresh: set[tuple[str, Digest]] | None = None
        """What became used while a collector looks: it does not touch that."""
        self._used: dict[str, int] = {}

    def age(self, path: str) -> float:
        """Seconds since a file was used last. One from the future (the machine's time was wrong
        once) begins to age now."""
        age = self.now() - self.driver.modified(path)
        if age < -FUTURE_SECONDS:
            self.driver.touch(path, self.now())
        return max(age, 0.0)

    # repositories

    def exists(self, name: Repository) -> bool:
        at = bisect.bisect_left(self.names, name)
        return at < len(self.names) and self.names[at] == name

    def need(self, name: Repository) -> None:
        """Refuse a repository that nobody has pushed to."""
        if not self.exists(name):
            raise Refusal("NAME_UNKNOWN", detail={"name": name})

    def check_quota(self, name: Repository, more: int) -> None:
        """Refuse what would be too much for a repository."""
        if self.quotas.limit(name) is not None:
            self.quotas.check(name, self.used(name), more)

    def used(self, name: Repository) -> int:
        """Bytes that a repository holds."""
        with self.lock:
            if name not in self._used:
                blobs = (self.driver.size(places.blob(digest)) or 0 for digest in self.links(name))
                documents = (self._known(name, digest)[1] for digest in self.manifests(name))
                self._used[name] = sum(blobs) + sum(documents)
            return self._used[name]

    def _appear(self, name: Repository) -> None:
        if not self.exists(name):
            bisect.insort(self.names, name)

    def _vanish(self, name: Repository) -> None:
        """Forget a repository that has become empty."""
        if any(self.links(name)) or any(self.manifests(name)):
            return
        at = bisect.bisect_left(self.names, name)
        if at < len(self.names) and self.names[at] == name:
            del self.names[at]
        self._used.pop(name, None)
        for folder in (places.links(name), places.manifests(name)):
            for algorithm in ("sha256", "sha512"):
                self.driver.prune(f"{folder}/{algorithm}")
        self.driver.prune(places.tags(name))

    # blobs

    def blob(self, name: Repository, digest: Digest) -> int | None:
        """The size of a blob that a repository has; it is in use from now."""
        link = places.link(name, digest)
        try:
            old = self.age(link) > STALE_SECONDS
        except FileNotFoundError:
            return None
        if old or self.fresh is not None:
            with self.lock, contextlib.suppress(FileNotFoundError):
                self.driver.touch(link, self.now())
                self._note(name, digest)
        return self.driver.size(places.blob(digest))

    def open_blob(self, name: Repository, digest: Digest) -> tuple[int, int]:
        """A descriptor and the size; the caller closes it. A collector does not take it away."""
        size = self.blob(name, digest)
        if size is None:
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})
        try:
            return self.driver.open(places.blob(digest)), size
        except FileNotFoundError:
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest}) from None

    def links(self, name: Repository) -> Iterator[Digest]:
        """The blobs of a repository."""
        return _digests(self.driver, places.links(name))

    def mount(self, name: Repository, source: Repository, digest: Digest) -> bool:
        """Let a repository have another's blob; False where that has none."""
        size = self.blob(source, digest)
        if size is None:
            return False
        with self.lock:
            if self.driver.size(places.blob(digest)) is None:
                return False
            self._link(name, digest, size)
        return True

    def adopt(self, name: Repository, digest: Digest, path: str, size: int) -> None:
        """What was uploaded, and is what its digest says, becomes a blob of a repository.

        It takes the place of one that is here: should that be damaged, this mends it.
        """
        self.driver.sync(path)  # a large one takes seconds, and nobody else has to wait for it
        with self.lock:
            if self.driver.size(places.link(name, digest)) is None:
                self.quotas.check(name, self.used(name), size)
            self.driver.publish(path, places.blob(digest))
            self._link(name, digest, size)

    def remove_blob(self, name: Repository, digest: Digest) -> None:
        """The repository has it no more; the bytes go when no repository has them."""
        with self.lock:
            size = self.driver.size(places.blob(digest)) or 0
            if not self.driver.remove(places.link(name, digest)):
                raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})
            if name in self._used:
                self._used[name] -= size
            self._vanish(name)

    def _link(self, name: Repository, digest: Digest, size: int) -> None:
        link = places.link(name, digest)
        if self.driver.size(link) is None:
            self.quotas.check(name, used := self.used(name), size)
            self.driver.mark(link)
            self._used[name] = used + size
        self.driver.touch(link, self.now())
        self._note(name, digest)
        self._appear(name)

    def _note(self, name: Repository, digest: Digest) -> None:
        if self.fresh is not None:
            self.fresh.add((name, digest))

    # manifests

    def manifest(self, name: Repository, target: Tag | Digest) -> Found:
        """By tag or digest. Bytes that are not what their digest says are not handed out."""
        digest = target if isinstance(target, Digest) else self.resolve(name, target)
        try:
            media_type, _ = self._known(name, digest)
            data = self.driver.read(places.blob(digest))
        except FileNotFoundError:
            self.need(name)
            raise Refusal("MANIFEST_UNKNOWN", detail={"name": name, "reference": target}) from None
        if hash_document(digest.algorithm, data) != digest:
            raise _damaged(name, digest)
        return Found(digest, media_type, data)

    def use_manifest(self, name: Repository, target: Tag | Digest) -> Found:
        """As :meth:`manifest`; it counts as used from now, for a cache that forgets."""
        found = self.manifest(name, target)
        path = places.manifest(name, found.digest)
        with self.lock, contextlib.suppress(FileNotFoundError):
            if self.age(path) > STALE_SECONDS:
                self.driver.touch(path, self.now())
            self._note(name, found.digest)
        return found

    def resolve(self, name: Repository, tag: Tag) -> Digest:
        """The digest that a tag stands for."""
        try:
            return parse_digest(self.driver.read(places.tag(name, tag)).decode())
        except FileNotFoundError:
            self.need(name)
            raise Refusal("MANIFEST_UNKNOWN", detail={"name": name, "tag": tag}) from None

    def has_manifest(self, name: Repository, digest: Digest) -> bool:
        return self.driver.size(places.manifest(name, digest)) is not None

    def manifests(self, name: Repository) -> Iterator[Digest]:
        """The manifests of a repository, tagged or not."""
        return _digests(self.driver, places.manifests(name))

    def put_manifest(
        self, name: Repository, digest: Digest, data: bytes, pushed: Pushed, tags: Iterable[Tag],
        sparse: bool = False,
    ) -> None:  # fmt: skip
        """Keep a document, and let tags stand for it, where what it needs is here.

        ``sparse``: it may be missing, as in a cache.
        """
        with self.lock:
            if not sparse:
                self._need_parts(name, pushed)
            known = self.has_manifest(name, digest)
            if not known:
                self.quotas.check(name, used := self.used(name), len(data))
                self._used[name] = used + len(data)
            self._note(name, digest)
            for blob in (*pushed.blobs, *pushed.away, *pushed.manifests):
                self._note(name, blob)
            self.driver.write(places.blob(digest), data)
            if pushed.subject is not None:
                told = _descriptor(digest, len(data), pushed)
                path = places.referrer(name, pushed.subject, digest)
                self.driver.write(path, orjson.dumps(told))
            about = {"mediaType": pushed.media_type, "size": len(data)}
            if pushed.subject is not None:
                about["subject"] = pushed.subject
            self.driver.write(places.manifest(name, digest), orjson.dumps(about))
            self.driver.touch(places.manifest(name, digest), self.now())
            for tag in tags:
                self.driver.write(places.tag(name, tag), digest.encode())
            self._appear(name)
            self._change(name)

    def _need_parts(self, name: Repository, pushed: Pushed) -> None:
        lacking = [digest for digest in pushed.blobs if self.blob(name, digest) is None]
        lacking += [item for item in pushed.manifests if not self.has_manifest(name, item)]
        if lacking:
            raise Refusal("MANIFEST_BLOB_UNKNOWN", f"{name} has no {lacking[0]}; push it first",
                          {"digest": lacking[0]})  # fmt: skip

    def remove_manifest(self, name: Repository, digest: Digest) -> None:
        """A manifest and the tags that stand for it."""
        with self.lock:
            try:
                size, subject = self._size_and_subject(name, digest)
            except FileNotFoundError:
                self.need(name)
                raise Refusal("MANIFEST_UNKNOWN", detail={"digest": digest}) from None
            for tag in self.tags(name):
                if self.driver.read(places.tag(name, tag)) == digest.encode():
                    self.driver.remove(places.tag(name, tag))
            self._change(name)
            self.driver.remove(places.manifest(name, digest))
            if subject is not None:
                self.driver.remove(places.referrer(name, subject, digest))
                self.driver.prune(places.referrers(name, subject))
            if name in self._used:
                self._used[name] -= size
            self._change(name)
            self._vanish(name)

    def _size_and_subject(self, name: Repository, digest: Digest) -> tuple[int, Digest | None]:
        """Of a manifest that goes; one whose record is damaged may go too."""
        try:
            about = self._record(name, digest)
            told = about.get("subject")
            return int(about["size"]), None if told is None else parse_digest(told)
        except (Refusal, Invalid, KeyError, TypeError, ValueError):
            self._used.pop(name, None)
            return 0, None

    def remove_tag(self, name: Repository, tag: Tag) -> None:
        with self.lock:
            if not self.driver.remove(places.tag(name, tag)):
                self.need(name)
                raise Refusal("MANIFEST_UNKNOWN", detail={"name": name, "tag": tag})
            self._change(name)

    def tags(self, name: Repository) -> list[Tag]:
        """In the order of their bytes."""
        found = sorted(self.driver.list(places.tags(name)))
        return [Tag(item.name) for item in found if is_tag(item.name)]

    def referrers(self, name: Repository, subject: Digest) -> list[dict[str, object]]:
        """Descriptors of the manifests that are about another, by digest."""
        found = []
        folder = places.referrers(name, subject)
        for item in sorted(self.driver.list(folder)):
            algorithm, _, encoded = item.name.partition("-")
            with contextlib.suppress(FileNotFoundError, Invalid, ValueError):
                digest = parse_digest(f"{algorithm}:{encoded}")
                if self.has_manifest(name, digest):
                    found.append(orjson.loads(self.driver.read(f"{folder}/{item.name}")))
        return found

    def _known(self, name: Repository, digest: Digest) -> tuple[str, int]:
        about = self._record(name, digest)
        try:
            return str(about["mediaType"]), int(about["size"])
        except (KeyError, TypeError, ValueError):
            raise _damaged(name, digest) from None

    def _record(self, name: Repository, digest: Digest) -> dict[str, Any]:
        try:
            about = orjson.loads(self.driver.read(places.manifest(name, digest)))
        except ValueError:
            raise _damaged(name, digest) from None
        if not isinstance(about, dict):
            raise _damaged(name, digest)
        return about

    def _change(self, name: Repository) -> None:
        self.versions[name] = self.versions.get(name, 0) + 1


def _damaged(name: Repository, digest: Digest) -> Refusal:
    return Refusal("UNKNOWN", f"{name}: {digest}: is damaged on this server; push it again")


def _descriptor(digest: Digest, size: int, pushed: Pushed) -> dict[str, object]:
    told: dict[str, object] = {"mediaType": pushed.media_type, "size": size, "digest": digest}
    if pushed.artifact_type:
        told["artifactType"] = pushed.artifact_type
    if pushed.annotations:
        told["annotations"] = pushed.annotations
    return told


def _digests(driver: Driver, folder: str) -> Iterator[Digest]:
    for algorithm in driver.list(folder):
        for item in driver.list(f"{folder}/{algorithm.name}"):
            with contextlib.suppress(Invalid):  # what somebody else has laid there
                yield parse_digest(f"{algorithm.name}:{item.name}")


def _repositories(driver: Driver) -> Iterator[str]:
    waiting = [""]
    while waiting:
        name = waiting.pop()
        below = list(driver.list(places.repository(name) if name else places.REPOSITORIES))
        owned = {item.name for item in below}
        if name and owned & {places.LINKS, places.MANIFESTS} and is_name(name):
            yield name
        waiting += [
            f"{name}/{item.name}" if name else item.name
            for item in below
            if item.is_folder and not item.name.startswith("_")
        ]

"""Turns a registry into a cache of another: what is not here is fetched, verified, kept, passed on.

A blob goes to the client while it comes; its last piece only once its digest is right. Two who
want the same blob wait for one download. A tag is asked about again after a while; where the
origin does not answer, what is here is given.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks, in_thread
from dockyard.base.errors import Denied, NotFound, Unavailable
from dockyard.base.oci.digest import Digest, hash_document
from dockyard.node.image.registry.server.call import ALWAYS, Call, about_blob, opened
from dockyard.node.image.registry.server.documents import parse_pushed
from dockyard.node.image.registry.server.metrics import Metrics
from dockyard.node.image.registry.server.names import Repository, Tag
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Found, Store
from dockyard.node.image.registry.server.uploads import Session, Uploads
from dockyard.node.image.registry.server.upstream import Upstream

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("dockyard.registry")
MOST_TAGS = 10_000
"""Tags of which it is remembered when they were asked about."""
SIDE_BY_SIDE = 8
PIECE = 1024 * 1024
HELD_BACK = 64 * 1024
"""Bytes that nobody gets before all are known to be right."""
STALL_SECONDS = 60.0


class Download:
    """A blob that is on its way here."""

    def __init__(self, size: int) -> None:
        self.size, self.received = size, 0
        self.session: Session | None = None
        self.error: Exception | None = None
        self.done = False
        self.stopped = threading.Event()
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Wake who waits; from the event loop's thread."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        await self._changed.wait()


class Through:
    """The cache's way to its origin."""

    def __init__(
        self, clock: Clock, store: Store, uploads: Uploads, upstream: Upstream, metrics: Metrics,
        tasks: Tasks, fresh: float,
    ) -> None:  # fmt: skip
        self._clock, self._store, self._uploads = clock, store, uploads
        self._upstream, self._metrics, self._tasks, self._fresh = upstream, metrics, tasks, fresh
        self._asked: dict[tuple[str, str], float] = {}
        self._downloads: dict[tuple[Repository, Digest], Download] = {}
        self._slots = asyncio.Semaphore(SIDE_BY_SIDE)

    # manifests

    async def manifest(self, name: Repository, target: Tag | Digest) -> Found:
        """From here where that is right, else from the origin."""
        here = await self._here(name, target)
        if here is not None and (isinstance(target, Digest) or self._is_fresh(name, target)):
            self._count("hits")
            return here
        try:
            if here is not None and isinstance(target, Tag):
                current = await self._work(self._upstream.current, name, target)
                if current == here.digest:
                    self._remember(name, target)
                    self._count("hits")
                    return here
            return await self._fetch(name, target)
        except (NotFound, Denied):
            raise Refusal("MANIFEST_UNKNOWN", detail={"name": name, "reference": target}) from None
        except Unavailable as error:
            if here is None:
                raise
            log.warning("%s: %s: given as it is here: %s", name, target, error)
            return here

    async def _here(self, name: Repository, target: Tag | Digest) -> Found | None:
        try:
            return await self._work(self._store.use_manifest, name, target)
        except Refusal:
            return None

    async def _fetch(self, name: Repository, target: Tag | Digest) -> Found:
        fetched = await self._work(self._upstream.manifest, name, target)
        self._count("misses")
        algorithm = target.algorithm if isinstance(target, Digest) else "sha256"
        digest = hash_document(algorithm, fetched.data)
        if isinstance(target, Digest) and digest != target:
            log.error("%s: %s: the origin sends %s", name, target, digest)
            raise Refusal("UNAVAILABLE", "the origin sends another manifest", status=502)
        try:
            pushed = parse_pushed(fetched.data, fetched.media_type or "")
        except Refusal as refusal:
            log.error("%s: %s: from the origin: %s", name, target, refusal)
            raise Refusal("UNAVAILABLE", "the origin sends no manifest", status=502) from refusal
        tags = [target] if isinstance(target, Tag) else []
        await self._work(self._store.put_manifest, name, digest, fetched.data, pushed, tags, True)
        if isinstance(target, Tag):
            self._remember(name, target)
        return Found(digest, pushed.media_type, fetched.data)

    def _is_fresh(self, name: Repository, tag: Tag) -> bool:
        asked = self._asked.get((name, tag))
        return asked is not None and self._clock.monotonic() - asked < self._fresh

    def _remember(self, name: Repository, tag: Tag) -> None:
        if len(self._asked) >= MOST_TAGS:
            self._asked.clear()
        self._asked[name, tag] = self._clock.monotonic()

    # blobs

    async def blob(self, call: Call, digest: Digest) -> bool:
        """Answer with a blob of the origin; False where it is here (now)."""
        name = call.name
        if await self._work(self._store.blob, name, digest) is not None:
            self._count("hits")
            return False
        try:
            size = await self._work(self._upstream.size, name, digest)
        except NotFound:
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest}) from None
        if call.request.method == "HEAD":
            call.connection.begin(200, ALWAYS + about_blob(digest), size)
            call.status = 200
            call.connection.end()
            return True
        download = self._downloads.get((name, digest))
        if download is None:
            self._count("misses")
            download = self._downloads[name, digest] = Download(size)
            self._tasks.start(self._pull(name, digest, download), name=f"pull {digest}")
        if call.header(b"range"):
            while not download.done:
                await download.change()
            if download.error is None:
                return False
            raise _failed(download)
        await self._follow(call, digest, download)
        return True

    async def _follow(self, call: Call, digest: Digest, download: Download) -> None:
        """Send what has come, until all has."""
        while download.session is None and not download.done:
            await download.change()
        if download.error is not None or download.session is None:
            raise _failed(download)
        connection, at = call.connection, 0
        file, _ = await opened(self._work(self._open, call.name, digest, download.session))
        try:
            call.status = 200
            connection.begin(200, ALWAYS + about_blob(digest), download.size)
            while at < download.size:
                ready = download.size if download.done else download.received - HELD_BACK
                if download.error is not None:
                    raise ConnectionAbortedError(f"{digest}: {download.error}")
                if ready <= at:
                    await download.change()
                    continue
                piece = await self._work(os.pread, file, min(PIECE, ready - at), at)
                if not piece:
                    raise ConnectionAbortedError(f"{digest}: is shorter than it was")
                connection.write(piece)
                at += len(piece)
                async with self._clock.timeout(STALL_SECONDS):
                    await connection.drain()
            while not download.done:  # an empty one
                await download.change()
            connection.end()
        finally:
            os.close(file)

    def _open(self, name: Repository, digest: Digest, session: Session) -> tuple[int, int]:
        try:
            return self._store.driver.open(session.path), session.size
        except FileNotFoundError:  # it has come meanwhile
            return self._store.open_blob(name, digest)

    async def _pull(self, name: Repository, digest: Digest, download: Download) -> None:
        loop = asyncio.get_running_loop()

        def progress() -> None:
            loop.call_soon_threadsafe(download.tell)

        try:
            async with self._slots:
                await self._work(self._transfer, name, digest, download, progress)
        except asyncio.CancelledError:
            download.stopped.set()
            download.error = ConnectionAbortedError("the server ends")
            raise
        except Exception as error:  # whatever it was: who waits for the blob is told
            log.error("%s: %s: %s", name, digest, error)
            download.error = error
        finally:
            download.done = True
            self._downloads.pop((name, digest), None)
            download.tell()

    def _transfer(
        self, name: Repository, digest: Digest, download: Download, progress: Callable[[], None]
    ) -> None:
        session = self._uploads.start(name, digest.algorithm)
        session.busy = True
        try:
            download.session = session
            waiting: list[bytes] = []
            size = 0
            for piece in self._upstream.blob(name, digest, download.size):
                if download.stopped.is_set():
                    raise ConnectionAbortedError("the server ends")
                waiting.append(piece)
                size += len(piece)
                if size >= PIECE:
                    session.append(b"".join(waiting))
                    waiting, size = [], 0
                    if session.size > download.size:
                        raise Refusal("SIZE_INVALID", "the origin sends more than it said")
                    download.received = session.size
                    progress()
            session.append(b"".join(waiting))
            self._uploads.finish(session, digest)
            download.received = session.size
        except BaseException:
            self._uploads.cancel(session)
            raise
        finally:
            session.busy = False

    # lists

    async def tags(self, name: Repository) -> list[str]:
        """The origin's; those that are here where it does not answer."""
        try:
            return sorted(set(await self._work(self._upstream.tags, name)))
        except NotFound:
            raise Refusal("NAME_UNKNOWN", detail={"name": name}) from None
        except Unavailable:
            self._store.need(name)
            return [str(tag) for tag in await self._work(self._store.tags, name)]

    async def referrers(
        self, name: Repository, subject: Digest, here: list[dict[str, object]]
    ) -> list[dict[str, object]]:
        try:
            return await self._work(self._upstream.referrers, name, subject)
        except (NotFound, Unavailable):
            return here

    def _count(self, what: str) -> None:
        self._metrics.count(f"cache_{what}_total", f"Manifests and blobs: {what} of the cache.")

    async def _work(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(self._clock, act, *args, **kwargs)


def _failed(download: Download) -> Refusal:
    if isinstance(download.error, Unavailable):
        return Refusal("UNAVAILABLE", str(download.error))
    return Refusal("UNAVAILABLE", "the origin did not send this blob as it should", status=502)

"""``/v2/NAME/blobs/uploads/``: blobs come in, at once or in chunks, or from another repository.

distribution-spec 1.1, end-4 to end-6, end-11, end-13, and end-14 of its successor. What does not
fit leaves a session as it was; what a broken connection brought stays, and GET tells how far.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from dockyard.base.oci.digest import Digest
from dockyard.node.image.registry.server.call import Call, line
from dockyard.node.image.registry.server.names import (
    Repository,
    parse_blob_digest,
    parse_name,
)
from dockyard.node.image.registry.server.ranges import parse_chunk
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.uploads import Mark, Session

PIECE = 256 * 1024
"""Bytes that are hashed and written at once."""
ALGORITHMS = ("sha256", "sha512")
WRITER_SECONDS = 1.0
"""How long who asks for a session waits for another request that writes to it."""
MOST_LOOKED_AT = 10_000
"""Repositories that are searched for a blob that is mounted without saying from where."""


async def post(call: Call) -> None:
    """Begin: a session, a whole blob (``digest``), or a mount (``mount`` and ``from``)."""
    uploads = call.registry.uploads
    mount, digest = call.one("mount"), call.one("digest")
    if mount is not None and await _mount(call, mount):
        return
    algorithm = call.one("digest-algorithm") or "sha256"
    if digest is not None and mount is None:
        wanted = parse_blob_digest(digest)
        session = await _start(call, wanted.algorithm)
        try:
            with _held(call, session):
                await _receive(call, session)
                await _last(call, uploads.finish, session, wanted)
        except BaseException:
            await _last(call, uploads.cancel, session)
            raise
        _created(call, wanted)
        return
    if algorithm not in ALGORITHMS:
        raise Refusal("DIGEST_INVALID", f"{algorithm[:80]!r}: sha256 and sha512 are known")
    session = await _start(call, algorithm)
    _progress(call, session, 202)


async def _start(call: Call, algorithm: str) -> Session:
    """A session; should the client leave before it knows of it, there is none."""
    uploads = call.registry.uploads
    work = asyncio.ensure_future(call.work(uploads.start, call.name, algorithm))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if work.exception() is None:
            await _last(call, uploads.cancel, work.result())
        raise


async def _mount(call: Call, mount: str) -> bool:
    """A blob that another repository has, or (without ``from``) any that the caller may read.
    Whether it is missing or not the caller's makes no difference to the answer (C02): a session."""
    digest, source = parse_blob_digest(mount), call.one("from")
    other = parse_name(source) if source else await call.work(_holder, call, digest)
    if other is None or not call.identity.may("pull", other):
        return False
    if not await call.work(call.registry.store.mount, call.name, other, digest):
        return False
    _created(call, digest)
    return True


def _holder(call: Call, digest: Digest) -> Repository | None:
    """A repository that has a blob; blocks for a look at each."""
    store, identity = call.registry.store, call.identity
    for name in store.names[:MOST_LOOKED_AT]:
        other = Repository(name)
        if identity.may("pull", other) and store.blob(other, digest) is not None:
            return other
    return None


async def patch(call: Call) -> None:
    """The next chunk."""
    session = await _find(call)
    with _held(call, session):
        await _receive(call, session)
    _progress(call, session, 202)


async def put(call: Call) -> None:
    """The last chunk, if any, and the digest of all."""
    uploads = call.registry.uploads
    session = await _find(call)
    digest = parse_blob_digest(call.one("digest") or "")
    with _held(call, session):
        before = session.mark()
        await _receive(call, session)
        try:
            await _last(call, uploads.finish, session, digest)
        except Refusal:
            await _last(call, session.go_back, before)
            raise
    _created(call, digest)


async def get(call: Call) -> None:
    """How far it is. A writer whose client has gone is on its way out: where it came to counts."""
    session = await call.work(call.registry.uploads.find, call.name, call.argument)
    clock = call.registry.clock
    deadline = clock.monotonic() + WRITER_SECONDS
    while session.busy and clock.monotonic() < deadline:
        await clock.sleep(0.01)
    _progress(call, session, 204)


async def delete(call: Call) -> None:
    """Give it up."""
    session = await call.work(call.registry.uploads.find, call.name, call.argument)
    with _held(call, session):
        await _last(call, call.registry.uploads.cancel, session)
    call.respond(204)


@contextlib.contextmanager
def _held(call: Call, session: Session) -> Iterator[None]:
    """One request at a time writes to a session."""
    if session.busy:
        raise _out_of_order(call, session, "another request is writing to this upload")
    session.busy = True
    try:
        yield
    finally:
        session.busy = False


async def _find(call: Call) -> Session:
    """The session that is written to; should the client leave before it is found, what it has sent
    is kept as it is later."""
    work = asyncio.ensure_future(call.work(call.registry.uploads.find, call.name, call.argument))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if work.exception() is None and call.request.incoming is not None:
            session = work.result()
            with contextlib.suppress(Refusal), _held(call, session):
                length = _announced(call, session)
                await _keep(call, session, session.mark(), call.request.incoming.left(), length)
        raise


async def _receive(call: Call, session: Session) -> None:
    """Append the body, as far as it comes and fits."""
    incoming = call.request.incoming
    length = _announced(call, session)
    await _check_room(call, session, length or 0)
    before = session.mark()
    if incoming is None:
        await _end(call, session, before, call.request.body, length)
        return
    waiting: list[bytes] = []
    size = 0
    try:
        while piece := await incoming.read():
            waiting.append(piece)
            size += len(piece)
            if size >= PIECE:
                await _check_room(call, session, size)
                data, waiting, size = b"".join(waiting), [], 0
                await _last(call, session.append, data)
    except Refusal:
        await _last(call, session.go_back, before)
        raise
    except (ConnectionResetError, asyncio.CancelledError):
        await _keep(call, session, before, b"".join((*waiting, incoming.left())), length)
        raise
    await _end(call, session, before, b"".join(waiting), length)


def _announced(call: Call, session: Session) -> int | None:
    """The bytes that come, where the client says so. Refuses what does not go on where it is."""
    incoming = call.request.incoming
    length = len(call.request.body) if incoming is None else incoming.length
    said = call.header(b"content-range")
    if not said:
        return length
    chunk = parse_chunk(said)
    if chunk is None:
        raise Refusal("BLOB_UPLOAD_INVALID", f"Content-Range {said[:80]!r}: not START-END")
    if chunk[0] != session.size:
        raise _out_of_order(call, session, f"the next byte is {session.size}")
    if length is not None and length != chunk[1] - chunk[0] + 1:
        raise _out_of_order(call, session, "Content-Range and Content-Length differ")
    return chunk[1] - chunk[0] + 1


async def _keep(
    call: Call, session: Session, before: Mark, data: bytes, length: int | None
) -> None:
    """What a client that has gone had sent."""
    if data and (length is None or session.size + len(data) - before.size <= length):
        await _last(call, session.append, data)


async def _end(call: Call, session: Session, before: Mark, data: bytes, length: int | None) -> None:
    try:
        await _check_room(call, session, len(data))
        if length is not None and session.size + len(data) - before.size != length:
            raise _out_of_order(call, session, "Content-Range and what came differ", before.size)
    except Refusal:
        await _last(call, session.go_back, before)
        raise
    if data:
        await _last(call, session.append, data)
    received = session.size - before.size
    call.registry.metrics.count("blob_bytes_received_total", "Bytes of blobs received.", received)


async def _check_room(call: Call, session: Session, more: int) -> None:
    """Before bytes are written, not after."""
    largest = call.registry.rules.largest_blob
    if session.size + more > largest:
        raise Refusal("SIZE_INVALID", f"a blob has at most {largest} bytes here", status=413)
    store = call.registry.store
    if store.quotas.limit(call.name) is not None:
        await call.work(store.check_quota, call.name, session.size + more)


async def _last(call: Call, act: Callable[..., object], *args: object) -> None:
    """What a thread does to a session is waited for, though the client may have gone: the next
    request finds a session that nobody writes to."""
    work = asyncio.ensure_future(call.work(act, *args))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _out_of_order(call: Call, session: Session, why: str, size: int | None = None) -> Refusal:
    """416, and where to go on."""
    return Refusal("RANGE_INVALID", why, {"received": session.size if size is None else size},
                   headers=_where(call, session, size))  # fmt: skip


def _where(call: Call, session: Session, size: int | None = None) -> bytes:
    received = session.size if size is None else size
    return (
        line("Location", f"/v2/{call.name}/blobs/uploads/{session.identifier}")
        + line("Range", f"0-{max(received - 1, 0)}")
        + line("Docker-Upload-UUID", session.identifier)
    )


def _progress(call: Call, session: Session, status: int) -> None:
    call.respond(status, _where(call, session))


def _created(call: Call, digest: Digest) -> None:
    headers = line("Location", f"/v2/{call.name}/blobs/{digest}")
    call.respond(201, headers + line("Docker-Content-Digest", digest))

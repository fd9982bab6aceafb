"""Turns bytes into a blob at a registry, taken up where a connection broke.

distribution-spec 1.1, "Pushing a blob in chunks": the session is asked how far it is, and the rest
follows. Only where the session is gone does the blob begin anew: a registry keeps what has come,
and would add to it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

from dockyard.base.errors import DockyardError
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.reference import Reference
from dockyard.node.image.image import RegistryUnavailable
from dockyard.node.image.registry.dial import joined
from dockyard.node.image.registry.receiving import PROGRESS, TRIES
from dockyard.node.image.registry.transport import (
    BUSY,
    LONGEST_WAIT,
    Answer,
    Body,
    BrokenOff,
    reason,
    wait_for,
)

_NEW_SESSIONS = 3
_ERROR_BODY = 1 << 20
_STREAM = {"Content-Type": "application/octet-stream"}
_RECEIVED = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")


class Asker(Protocol):
    """What a client of one repository can do."""

    name: Reference

    def ask(
        self, method: str, path: str, headers: dict[str, str], *, body: Body | None = None,
        length: int = 0, once: bool = False,
    ) -> Answer: ...  # fmt: skip
    def expect(self, answer: Answer, status: int) -> None: ...
    def has_blob(self, digest: Digest) -> bool: ...


class _Later(RegistryUnavailable):
    """The registry is there and can't now."""

    def __init__(self, text: str, seconds: float | None) -> None:
        super().__init__(text)
        self.seconds = seconds


class _Doubted(DockyardError):
    """What was taken up may be what the registry refuses."""


class Sending:
    """One blob on its way. ``blob`` None: its digest is known when its bytes have passed."""

    def __init__(
        self, client: Asker, body: Body, blob: Descriptor | None, pause: Callable[[float], object]
    ) -> None:
        """``body`` gives the same bytes each time it is asked."""
        self._client, self._body, self._blob, self._pause = client, body, blob, pause
        self._where = ""
        """The session; empty: there is none."""
        self._offset = 0
        """Bytes that the registry has."""
        self._again = False
        """Whether something of it may have come that we do not know of."""
        self._sessions = self._failures = 0
        self._hasher = Digest("sha256:").hasher()
        self._size = 0

    def send(self) -> tuple[Digest, int]:
        """Have it there; its digest and size."""
        while True:
            try:
                if not self._where:
                    self._begin()
                return self._rest()
            except RegistryUnavailable as error:
                self._look(error)
                if not self._where and self._blob and self._is_there():
                    return self._blob.digest, self._blob.size
            except _Doubted:
                self._give_up()
                if self._sessions == _NEW_SESSIONS:
                    raise

    def _begin(self) -> None:
        if self._sessions == _NEW_SESSIONS:
            raise RegistryUnavailable(
                f"registry: {self._client.name.registry}: an upload was lost {_NEW_SESSIONS} times"
            )
        self._sessions += 1
        self._offset, self._again = 0, False
        with self._client.ask("POST", "blobs/uploads/", {}, body=tuple) as answer:
            self._client.expect(answer, 202)
            answer.read(_ERROR_BODY)
            self._where = self.location(answer)

    def _rest(self) -> tuple[Digest, int]:
        """What is missing, and the digest of all."""
        blob = self._blob
        if blob is not None and not self._again:
            url = with_digest(self._where, blob.digest)
            self._put("PUT", url, 201, self._body, blob.size, {})
            return blob.digest, blob.size
        if blob is None or self._offset < blob.size:
            headers, length = {}, -1
            if blob is not None:
                length = blob.size - self._offset
                headers = {"Content-Range": f"{self._offset}-{blob.size - 1}"}
            self._where = self._put("PATCH", self._where, 202, self._passing, length, headers)
            self._offset = self._size if blob is None else blob.size
        digest, size = (blob.digest, blob.size) if blob else self._hashed()
        self._put("PUT", with_digest(self._where, digest), 201, tuple, 0, {})
        return digest, size

    def _put(
        self, method: str, url: str, status: int, body: Body, length: int, headers: dict[str, str]
    ) -> str:
        """Where to go on."""
        with self._client.ask(
            method, url, _STREAM | headers, body=body, length=length, once=True
        ) as answer:
            if answer.status in (404, 416, *BUSY):
                asked = answer.headers.get("Retry-After")
                seconds = wait_for(0, asked) if asked else None
                if seconds is None or seconds <= LONGEST_WAIT:
                    raise _Later(
                        f"registry: {self._client.name.registry}: answers {answer.status}", seconds
                    )
            if answer.status == 400 and self._again:
                raise _Doubted(f"registry: {self._client.name.registry}: {reason(answer)}")
            self._client.expect(answer, status)
            answer.read(_ERROR_BODY)
            return self.location(answer) if status == 202 else ""

    def _passing(self) -> Iterator[bytes]:
        """The bytes from the offset on; where nobody knows their digest, all are hashed."""
        skip, self._size = self._offset, 0
        if self._blob is None:
            self._hasher = Digest("sha256:").hasher()
        for chunk in self._body():
            self._size += len(chunk)
            if self._blob is None:
                self._hasher.update(chunk)
            fresh = chunk[skip:] if skip else chunk
            skip -= len(chunk) - len(fresh)
            if fresh:
                yield fresh

    def _hashed(self) -> tuple[Digest, int]:
        return Digest("sha256:" + self._hasher.hexdigest()), self._size

    def _is_there(self) -> bool:
        """Its last answer may have been lost."""
        assert self._blob is not None
        try:
            return self._client.has_blob(self._blob.digest)
        except DockyardError:
            return False

    def _look(self, error: RegistryUnavailable) -> None:
        """Where to go on after a failure; raises it where that has gone on for too long."""
        before, self._again = self._offset, True
        self._pause(wait_for(self._failures, None))
        if isinstance(error, _Later) and error.seconds:
            self._pause(error.seconds)
        if not self._where:
            raise error
        try:
            with self._client.ask("GET", self._where, {}) as answer:
                found = _RECEIVED.fullmatch((answer.headers.get("Range") or "").strip())
                answer.read(_ERROR_BODY)
                if answer.status in (200, 204) and found is not None:
                    # "0-0" says nothing has come, or one byte: the latter is sent again, and a
                    # registry that has it refuses that (416)
                    self._offset = int(found[1]) + 1 if int(found[1]) else 0
                    self._where = self.location(answer, self._where)
                else:
                    self._where = ""
        except BrokenOff:
            self._where = ""
        if self._blob is not None and self._offset > self._blob.size:
            self._give_up()
        self._failures = 0 if self._offset - before >= PROGRESS else self._failures + 1
        if self._failures == TRIES:
            self._give_up()
            raise error

    def _give_up(self) -> None:
        """The session ends, so that the registry need not keep what has come."""
        where, self._where = self._where, ""
        if not where:
            return
        try:
            with self._client.ask("DELETE", where, {}, once=True) as answer:
                answer.read(_ERROR_BODY)
        except DockyardError:
            return  # it expires there by itself

    def location(self, answer: Answer, otherwise: str = "") -> str:
        """Where the session goes on."""
        return location_of(answer, f"registry: {self._client.name.registry}", otherwise)


def location_of(answer: Answer, what: str, otherwise: str = "") -> str:
    said = answer.headers.get("Location")
    if said is None and otherwise:
        return otherwise
    try:
        return joined(answer.url, said or "")
    except ValueError as error:
        raise RegistryUnavailable(f"{what}: upload to {said!r:.500}: {error}; refused") from error


def with_digest(where: str, digest: Digest) -> str:
    return f"{where}{'&' if urlsplit(where).query else '?'}digest={digest}"

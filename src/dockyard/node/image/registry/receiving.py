"""Turns a blob at a registry into its bytes, taken up where a connection broke.

What comes is not trusted: whoever takes it holds it against its digest.
"""

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.reference import Reference
from dockyard.node.image.image import ImageNotFound, RegistryUnavailable
from dockyard.node.image.registry.reply import CutOff, Doubtful
from dockyard.node.image.registry.transport import Answer, wait_for

TRIES = 5
"""Connections in a row that may break without having brought much."""
PROGRESS = 64 << 10
"""Bytes that are much: whoever brings them may break as often as it likes."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)")


class Asker(Protocol):
    """What a client of one repository can do."""

    name: Reference

    def ask(self, method: str, path: str, headers: dict[str, str]) -> Answer: ...
    def expect(self, answer: Answer, status: int) -> None: ...
    def missing(self, answer: Answer, what: str) -> ImageNotFound: ...


def receive(client: Asker, blob: Descriptor, pause: Callable[[float], object]) -> Iterator[bytes]:
    """All of it, in order. Raises :class:`RegistryUnavailable` where it breaks too often."""
    received = marked = failures = 0
    while True:
        broken: OSError
        headers = {"Range": f"bytes={received}-"} if received else {}
        try:
            with client.ask("GET", f"blobs/{blob.digest}", headers) as answer:
                skip = _skipped(client, answer, blob, received)
                for chunk in answer.chunks():
                    fresh = chunk[skip:]
                    skip -= len(chunk) - len(fresh)
                    received += len(fresh)
                    if fresh:
                        yield fresh
            if received >= blob.size:
                return
            broken = CutOff(f"the body ended {blob.size - received} bytes too early")
        except OSError as error:
            broken = error
        failures = 0 if received - marked >= PROGRESS else failures + 1
        marked = received
        if failures == TRIES:
            raise RegistryUnavailable(
                f"registry: {client.name.registry}: blob {blob.digest}: broke off {TRIES} times, "
                f"last after {received} of {blob.size} bytes: {broken or type(broken).__name__}"
            )
        if failures:
            pause(wait_for(failures - 1, None))


def _skipped(client: Asker, answer: Answer, blob: Descriptor, received: int) -> int:
    """How many bytes of the body we have already."""
    if answer.status == 404:
        raise client.missing(answer, f"blob {blob.digest}")
    if not received or answer.status == 200:  # a server without ranges sends all of it again
        client.expect(answer, 200)
        return received
    client.expect(answer, 206)
    said = answer.headers.get("Content-Range") or ""
    found = _RANGE.fullmatch(said.strip())
    if found is None or int(found[1]) != received:
        raise Doubtful(
            f"registry: {client.name.registry}: blob {blob.digest}: bytes from {received} on were "
            f"asked for, and {said[:80]!r} came; refused"
        )
    return 0

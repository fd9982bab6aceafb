"""Turns names and digests into what another registry has: a cache's source. Everything blocks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest, parse_digest
from dockyard.base.oci.manifest import ACCEPT, LARGEST, SCHEMA_1
from dockyard.base.oci.reference import Reference
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.image import ImageNotFound, RegistryUnavailable
from dockyard.node.image.registry.client import Fetched, RegistryClient
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.server.names import Repository, Tag
from dockyard.node.image.registry.transport import Answer

MOST_CLIENTS = 64
"""Repositories whose connections and tokens are kept."""
OCTETS = "application/octet-stream"


class Origin(NamedTuple):
    """Where a cache's content comes from."""

    registry: str
    """``host[:port]``, or ``docker.io``."""
    hosts: Hosts


class Upstream:
    """The other registry. Any thread."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._clients: dict[str, RegistryClient] = {}

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.__exit__(None, None, None)
            self._clients.clear()

    def current(self, name: Repository, tag: Tag) -> Digest | None:
        """What a tag stands for now; None where the registry does not tell without sending it."""
        headers = {"Accept": ", ".join((*ACCEPT, *SCHEMA_1))}
        with self._client(name).ask("HEAD", f"manifests/{tag}", headers) as answer:
            _expect(answer, f"{name}:{tag}")
            told = answer.headers.get("Docker-Content-Digest")
        try:
            return parse_digest(told) if told else None
        except Invalid:
            return None

    def manifest(self, name: Repository, target: str) -> Fetched:
        return self._client(name).manifest(target)

    def size(self, name: Repository, digest: Digest) -> int:
        """Bytes of a blob; :class:`ImageNotFound` where there is none."""
        with self._client(name).ask("HEAD", f"blobs/{digest}", {}) as answer:
            _expect(answer, f"{name}@{digest}")
            told = answer.headers.get("Content-Length") or ""
        if not told.isascii() or not told.isdecimal():
            raise RegistryUnavailable(f"registry: {self._origin.registry}: {digest}: tells no size")
        return int(told)

    def blob(self, name: Repository, digest: Digest, size: int) -> Iterator[bytes]:
        return self._client(name).blob(Descriptor(OCTETS, digest, size))

    def tags(self, name: Repository) -> list[str]:
        """All of them, page by page."""
        found: list[str] = []
        path = "tags/list?n=1000"
        while True:
            value = self._json(name, path)
            taken = [tag for tag in value.get("tags") or [] if isinstance(tag, str)]
            if not taken or (found and taken[-1] <= found[-1]):
                return found
            found += taken
            path = f"tags/list?n=1000&last={taken[-1]}"

    def referrers(self, name: Repository, subject: Digest) -> list[dict[str, object]]:
        value = self._json(name, f"referrers/{subject}")
        return [item for item in value.get("manifests") or [] if isinstance(item, dict)]

    def _json(self, name: Repository, path: str) -> dict[str, Any]:
        with self._client(name).ask("GET", path, {}) as answer:
            _expect(answer, f"{name}: {path}")
            return decode_object(answer.read(LARGEST), f"{name}: {path}", limit=LARGEST)

    def _client(self, name: Repository) -> RegistryClient:
        with self._lock:
            client = self._clients.pop(name, None)
            if client is None:
                client = RegistryClient(
                    self._origin.hosts, Reference(self._origin.registry, name, None, None), None,
                    "pull",
                )  # fmt: skip
            self._clients[name] = client
            if len(self._clients) > MOST_CLIENTS:  # whoever uses the oldest keeps it alive
                self._clients.pop(next(iter(self._clients)))
            return client


def _expect(answer: Answer, what: str) -> None:
    if answer.status in (401, 403, 404):
        raise ImageNotFound(f"registry: {what}: {answer.status} from the origin")
    if answer.status != 200:
        raise RegistryUnavailable(f"registry: {what}: {answer.status} from the origin")

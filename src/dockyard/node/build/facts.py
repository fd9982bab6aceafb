"""Turns what a build's steps fetched into the materials that its provenance lists."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from dockyard.base.oci.reference import parse_reference

if TYPE_CHECKING:
    from dockyard.base.oci.digest import Digest
    from dockyard.base.oci.platform import Platform


class Material(NamedTuple):
    """One thing from elsewhere."""

    uri: str
    algorithm: str
    digest: str
    """In hexadecimal digits."""

    def to_json(self) -> dict[str, Any]:
        return {"uri": self.uri, "digest": {self.algorithm: self.digest}}


class Facts:
    """Told by steps, from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._materials: dict[Material, None] = {}
        self.used_network = False
        """Whether a RUN could reach a network."""

    @property
    def materials(self) -> tuple[Material, ...]:
        with self._lock:
            return tuple(sorted(self._materials))

    def add(self, material: Material) -> None:
        with self._lock:
            self._materials[material] = None

    def image(self, name: str, platform: Platform, digest: Digest) -> None:
        self.add(Material(image_url(name, platform), digest.algorithm, digest.hex))

    def git(self, remote: str, ref: str, commit: str) -> None:
        algorithm = "sha1" if len(commit) == 40 else "sha256"
        self.add(Material(f"{remote}#{ref}" if ref else remote, algorithm, commit))

    def url(self, address: str, digest: str) -> None:
        algorithm, _, digits = digest.partition(":")
        self.add(Material(address, algorithm, digits))


def image_url(name: str, platform: Platform) -> str:
    """``pkg:docker/alpine@3.17?platform=linux%2Famd64`` (the purl specification, type docker)."""
    found = parse_reference(name)
    short = found.name.removeprefix("docker.io/library/").removeprefix("docker.io/")
    version = quote(found.digest or found.tag or "latest")
    query = f"platform={quote(str(platform), safe='')}"
    return f"pkg:docker/{quote(short, safe='/')}@{version}?{query}"

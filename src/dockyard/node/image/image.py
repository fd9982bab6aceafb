"""Turns stored documents into the :class:`Image` that everything above asks for."""

from __future__ import annotations

from dockyard.base.errors import Conflict, Corrupt, Denied, NotFound, Unavailable
from dockyard.base.oci.digest import Digest, hash_document
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.manifest import Manifest
from dockyard.base.typed import NamedTuple


class ImageNotFound(NotFound):
    """No such image here, or the registry has none."""


class ImageInUse(Conflict):
    """The image cannot go: a container or another name holds it."""


class RegistryDenied(Denied):
    """The registry wants credentials, or refuses the ones it got."""


class RegistryUnavailable(Unavailable):
    """The registry does not answer, or answers that it can't now."""


class ContentMismatch(Corrupt):
    """Bytes that are not what their digest or size promises; nothing of them is kept."""


class Layer(NamedTuple):
    """One layer, as the store has it."""

    digest: Digest
    """Of the blob as transported (compressed)."""
    diff_id: Digest
    """Of the tar stream inside."""
    chain_id: Digest
    """Of this layer and all below (config.md, "Layer ChainID"); names the unpacked directory."""
    size: int
    """Bytes of the blob."""
    media_type: str


class Image(NamedTuple):
    """An immutable view of one image in the store."""

    id: Digest
    """The configuration's digest: Docker's image ID."""
    manifest: Manifest
    config: ImageConfig
    layers: tuple[Layer, ...]
    """Lowest first."""
    names: tuple[str, ...]
    """Tags in normal form, ``docker.io/library/busybox:latest``."""
    digests: tuple[str, ...]
    """``docker.io/library/busybox@sha256:...``: the names under which a registry has it."""
    size: int
    """Bytes of the unpacked layers' tar streams: what Docker shows as SIZE."""

    @property
    def digest(self) -> Digest:
        """The manifest's digest."""
        return self.manifest.digest


class Removed(NamedTuple):
    """What a removal did, in order: Docker prints ``Untagged:`` and ``Deleted:`` lines."""

    untagged: tuple[str, ...]
    deleted: tuple[Digest, ...]


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """ChainIDs of layers, lowest first (config.md, "Layer ChainID")."""
    found: list[Digest] = []
    for diff_id in diff_ids:
        if not found:
            found.append(diff_id)
            continue
        text = f"{found[-1]} {diff_id}".encode()
        found.append(hash_document(found[-1].algorithm, text))
    return tuple(found)

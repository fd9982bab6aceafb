"""Turns a document at a registry or in an archive into a bundle here: all of it, as bytes.

The image for this machine, where an index has one, is unpacked and listed too, under the same name.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.oci import imageconfig
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.imageconfig import parse_config
from dockyard.base.oci.manifest import LARGEST, Index, Manifest, check_image, choose, parse_document
from dockyard.base.oci.meaning import is_artifact
from dockyard.base.oci.platform import host_platform
from dockyard.node.image.blobs import verified
from dockyard.node.image.catalog import Catalog, layers_of
from dockyard.node.image.fetch import fetch_layers
from dockyard.node.image.image import Image
from dockyard.node.image.progress import Progress

_AT_ONCE = 3

Source = Callable[[Descriptor], Iterable[bytes]]
"""A blob's bytes."""
Has = Callable[[Descriptor], bool]


class Whole:
    """Brings documents from one place. Held within the catalog's ``adding``."""

    def __init__(
        self, catalog: Catalog, source: Source, has: Has, progress: Progress, what: str
    ) -> None:
        self._catalog, self._source, self._has = catalog, source, has
        self._progress, self._what = progress, what

    def document(self, entry: Descriptor) -> Manifest | Index:
        """What a descriptor points to; :class:`ContentMismatch` where it is not that."""
        what = f"{self._what}: {entry.digest}"
        if entry.size > LARGEST or not entry.media_type:
            raise Invalid(f"{what}: a document of {entry.size} bytes; refused")
        data = b"".join(verified(self._source(entry), entry))
        return parse_document(data, entry.media_type, what)._replace(digest=entry.digest)

    def index(self, index: Index, names: tuple[str, ...], images: tuple[str, ...]) -> Image | None:
        """An index and every image of it that is there; the one for this machine, if it has one.

        ``names``: of the index; ``images``: of that image.
        """
        found: list[tuple[Descriptor, Manifest]] = []
        for entry in index.manifests:
            if not self._has(entry):
                continue
            inner = self.document(entry)
            if not isinstance(inner, Manifest):
                raise Invalid(f"{self._what}: {entry.digest}: an index in an index; refused")
            found.append((entry, inner))
        if not found:
            raise Invalid(f"{self._what}: {index.digest}: an index none of whose images is there")
        mine = self._mine(index, dict(found))
        for _, inner in found:
            if inner is not mine:
                self.keep(inner)
        self._catalog.blobs.store(index.digest, index.data)
        if mine is not None:
            return self.image(mine, images, index, names)
        self._catalog.bundles.add(index, names)
        return None

    def _mine(self, index: Index, found: dict[Descriptor, Manifest]) -> Manifest | None:
        """The image that this machine can run."""
        there = index._replace(manifests=tuple(found))
        try:
            entry = choose(there, host_platform(), self._what)
        except Unsupported:
            return None
        return found[entry] if not is_artifact(found[entry]) else None

    def image(
        self,
        found: Manifest,
        names: tuple[str, ...],
        index: Index | None = None,
        whole: tuple[str, ...] = (),
    ) -> Image:
        """An image, unpacked and listed; of ``index``, which has the names ``whole`` too."""
        check_image(found, self._what)
        if found.config.size > imageconfig.LARGEST:
            raise Invalid(f"{self._what}: a configuration of {found.config.size} bytes; refused")
        raw = b"".join(verified(self._source(found.config), found.config))
        config = parse_config(raw, self._what)
        fetch_layers(self._catalog, layers_of(found, config), self._source, self._progress)
        self._catalog.blobs.store(found.config.digest, raw)
        self._catalog.blobs.store(found.digest, found.data)
        return self._catalog.add(found, names, index, whole)

    def artifact(self, found: Manifest, names: tuple[str, ...]) -> None:
        """An artifact, with its blobs."""
        self.keep(found)
        self._catalog.bundles.add(found, names)

    def keep(self, found: Manifest) -> None:
        """A manifest and all that it names. What a registry does not give away (its layers'
        ``urls`` lead elsewhere) is left out."""
        wanted = dict.fromkeys(
            blob for blob in (found.config, *found.layers) if self._is_wanted(blob)
        )
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="blob") as pool:
            try:
                for _ in pool.map(self._one, wanted):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self._catalog.blobs.store(found.digest, found.data)

    def _is_wanted(self, blob: Descriptor) -> bool:
        if "foreign" in blob.media_type or "nondistributable" in blob.media_type:
            return self._has(blob)
        return True

    def _one(self, blob: Descriptor) -> None:
        part = blob.digest.short
        if self._catalog.blobs.has(blob):
            self._progress.status(part, "Already exists")
            return
        self._progress.status(part, "Pulling fs layer")
        done = 0
        for chunk in self._catalog.blobs.keep(self._source(blob), blob):
            done += len(chunk)
            self._progress.advance(part, "Downloading", done, blob.size)
        self._progress.status(part, "Download complete")

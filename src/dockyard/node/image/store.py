"""Turns image names into images on this machine: the one door of this room.

Synchronous, safe for threads and processes: what is shared is on disk, each change of the index is
one SQLite transaction, and content appears by rename. No thread outlives a call, so a caller may
fork afterwards.
"""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.errors import Invalid
from dockyard.base.linux import storagedriver
from dockyard.base.linux.storagedriver import Driver
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import Platform
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.image import Image, ImageNotFound, Layer, Removed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import IO

    from dockyard.base.oci.reference import Reference
    from dockyard.node.image.bundles import Bundle
    from dockyard.node.image.diff import Change
    from dockyard.node.image.load import Loaded
    from dockyard.node.image.progress import Progress, Silent
    from dockyard.node.image.registry.hosts import Credentials, Hosts
    from dockyard.node.image.risk.finding import Report
    from dockyard.node.image.trust.keys import PrivateKey, PublicKey
    from dockyard.node.image.trust.sign import Verified
    from dockyard.node.image.verify import Damage
    from dockyard.node.image.whole import Source

    BundleList = list[Bundle]
    DamageOfImages = dict[str, list[Damage]]

Images = list[Image]
Directories = list[str]
Names = list[str]
Sizes = list[int]
Layers = list[Layer]


class ImageStore:
    """The images of one data root. Making one costs nothing: files are made by the first write."""

    def __init__(self, data_root: str | os.PathLike[str], *, hosts: Hosts | None = None) -> None:
        self._catalog = Catalog(os.path.join(os.fspath(data_root), "images"))
        self._given = hosts

    @property
    def catalog(self) -> Catalog:
        """The content itself, for what carries it elsewhere (a build's outputs and caches)."""
        return self._catalog

    @property
    def hosts(self) -> Hosts:
        """How registries are reached."""
        from dockyard.node.image.registry.hosts import Hosts  # who runs a container asks none

        return self._given or Hosts()

    @property
    def driver(self) -> Driver:
        """How trees are made of layers here."""
        return storagedriver.chosen(self._catalog.data_root)

    def resolve(self, reference: str) -> Image:
        """The local image of this name, or ID (at least two digits); :class:`ImageNotFound`.

        A name without a registry that docker.io's form of is not here may be one of those that
        registries.conf makes of it.
        """
        try:
            return self._catalog.resolve(reference)
        except ImageNotFound:
            for name in self._others(reference):
                with contexts.suppress(ImageNotFound):
                    return self._catalog.resolve(str(name))
            raise

    def _others(self, reference: str) -> tuple[Reference, ...]:
        from dockyard.base.oci.reference import is_short
        from dockyard.node.image.registry.shortnames import resolve_short

        if not is_short(reference):
            return ()
        try:
            return resolve_short(self.hosts, reference).names
        except Invalid:
            return ()  # an ID, or a name that a pull refuses with its reason

    def list(self) -> Images:
        """All local images, the newest first."""
        return self._catalog.all()

    def pull(
        self,
        reference: str,
        *,
        platform: Platform | None = None,
        auth: Credentials | None = None,
        progress: Progress | None = None,
    ) -> Image:
        """Fetch an image, verify and unpack it; what is here already is not fetched again.

        ``auth`` None: docker's config.json says. Raises :class:`ImageNotFound` with the registry's
        answer, :class:`RegistryDenied`, :class:`RegistryUnavailable`, :class:`ContentMismatch`.
        """
        from dockyard.node.image.pull import pull_short

        return pull_short(
            self._catalog, self.hosts, reference, platform, auth, progress or _silent()
        )

    def here_for(self, reference: str, platform: Platform) -> tuple[str, Image] | None:
        """By which name there is an image for this platform, and it; nothing is fetched."""
        from dockyard.node.image.forplatform import here_for

        return here_for(self._catalog, parse_reference(reference), platform)

    def push(
        self,
        reference: str,
        *,
        auth: Credentials | None = None,
        progress: Progress | None = None,
    ) -> Digest:
        """Send a local image to the registry that its name says; returns the manifest's digest."""
        from dockyard.node.image.push import push

        name = parse_reference(reference)
        if (bundle := self._catalog.bundles.named(str(name))) is not None:
            from dockyard.node.image.pushwhole import is_whole, push_whole

            progress = progress or _silent()
            if is_whole(self._catalog, name, bundle, progress):
                return push_whole(self._catalog, self.hosts, name, bundle, auth, progress)
        return push(self._catalog, self.hosts, name, auth, progress or _silent())

    def sign(
        self,
        reference: str,
        key: PrivateKey,
        *,
        identity: str = "",
        auth: Credentials | None = None,
        progress: Progress | None = None,
    ) -> Digest:
        """Add a signature to an image in its registry (an index' images are signed with it).

        ``identity``: the name that is signed, if it is not ``reference`` in normal form.
        """
        from dockyard.node.image.trust.sign import sign

        name = parse_reference(reference)
        return sign(self.hosts, name, key, identity, auth, progress or _silent())

    def verify_signature(
        self, reference: str, keys: tuple[PublicKey, ...], *, auth: Credentials | None = None
    ) -> Verified:
        """What one of the keys signed about an image in its registry; :class:`SignatureRefused`."""
        from dockyard.node.image.trust.sign import verify

        return verify(self.hosts, parse_reference(reference), keys, auth)

    def risk(self, image: Image) -> Report:
        """What this image would do: its user, setuid files, capabilities, secrets, packages."""
        from dockyard.node.image.risk.look import look

        return look(self._catalog, image)

    def copy(
        self,
        source: str,
        target: str,
        *,
        platform: Platform | None = None,
        source_auth: Credentials | None = None,
        auth: Credentials | None = None,
        progress: Progress | None = None,
        referrers: bool = False,
    ) -> Digest:
        """From registry to registry, with all platforms or one; the digest stays."""
        from dockyard.node.image.copy import copy

        names, root = (parse_reference(source), parse_reference(target)), self._catalog.data_root
        return copy(root, self.hosts, *names, platform, (source_auth, auth), progress or _silent(),
                    referrers=referrers)  # fmt: skip

    def tags(self, repository: str, *, auth: Credentials | None = None) -> Names:
        """All tags of a repository, as its registry has them."""
        from dockyard.node.image.registry.client import RegistryClient

        with RegistryClient(self.hosts, parse_reference(repository), auth, "pull") as client:
            return client.tags()

    def load(self, archive: str, *, progress: Progress | None = None) -> Images:
        """Images of a tar made by ``docker save``, or of an oci-archive (compressed or not)."""
        return self.load_whole(archive, progress=progress).images

    def load_whole(self, archive: str, *, progress: Progress | None = None) -> Loaded:
        """As :meth:`load`; and indexes and artifacts."""
        from dockyard.node.image.load import load

        return load(self._catalog, archive, progress or _silent())

    def bundle(self, reference: str) -> Bundle | None:
        """The index that an image was pulled or loaded with, or the artifact of this name."""
        return self._catalog.find_bundle(reference)

    def bundles(self) -> BundleList:
        """All indexes and artifacts, the newest first."""
        return self._catalog.bundles.all()

    def pull_whole(
        self,
        reference: str,
        *,
        referrers: bool = False,
        auth: Credentials | None = None,
        progress: Progress | None = None,
    ) -> Bundle | None:
        """Fetch an index with all its images, or an artifact; ``referrers``: and what is about
        them. The image for this machine is unpacked. None: it was one image."""
        from dockyard.node.image.pullwhole import pull_whole
        from dockyard.node.image.registry.shortnames import only_one

        shown = progress or _silent()
        name, note = only_one(self.hosts, reference)
        if note:
            shown.note(note)
        return pull_whole(self._catalog, self.hosts, name, auth, shown, referrers=referrers)

    def load_one(
        self,
        folder: str,
        wanted: str,
        *,
        platform: Platform | None = None,
        progress: Progress | None = None,
    ) -> Image:
        """The image that an OCI layout in a folder has under a tag or digest. It gets no name."""
        from dockyard.node.image.load import load_one

        return load_one(self._catalog, folder, wanted, platform, progress or _silent())

    def save(self, references: Iterable[str], out: IO[bytes], form: str = "both") -> None:
        """Write images, whole indexes and artifacts as an archive: an oci-archive and a
        docker-archive at once, or one of :data:`~dockyard.node.image.save.ARCHIVES`."""
        from dockyard.node.image.save import items, save

        save(self._catalog, items(self._catalog, references), out, form)

    def save_folder(self, references: Iterable[str], folder: str, form: str) -> None:
        """As :meth:`save`, as a folder: of :data:`~dockyard.node.image.save.FOLDERS`."""
        from dockyard.node.image.save import items, save_folder

        save_folder(self._catalog, items(self._catalog, references), folder, form)

    def export(self, image: Image) -> Iterator[bytes]:
        """An image's merged tree as a tar stream, without starting anything."""
        from dockyard.node.image.exporting import merged

        return merged(self.mount_layers(image))

    def import_tar(
        self,
        tar: IO[bytes],
        reference: str | None,
        *,
        config: ImageConfig | None = None,
        message: str = "",
    ) -> Image:
        """A tar of a root file system (compressed or not) becomes an image of one layer."""
        chunks = iter(lambda: tar.read(CHUNK), b"")
        return self.import_chunks(chunks, reference, config=config, message=message)

    def import_chunks(
        self,
        chunks: Iterable[bytes],
        reference: str | None,
        *,
        config: ImageConfig | None = None,
        message: str = "",
    ) -> Image:
        """As :meth:`import_tar`, of a tar that is being made."""
        from dockyard.node.image.importtar import import_tar

        name = parse_reference(reference) if reference else None
        return import_tar(self._catalog, chunks, name, config, message)

    def tag(self, source: str, target: str) -> Image:
        """Give an image one more name, taking the name from whichever image has it."""
        name = parse_reference(target)
        return self._catalog.tag(self._catalog.resolve(source), name, self.bundle(source))

    def tag_bundle(self, bundle: Bundle, target: str) -> None:
        """As :meth:`tag`, of an index or artifact that no image came out of."""
        self._catalog.tag_bundle(bundle, parse_reference(target))

    def remove(self, reference: str, *, force: bool = False) -> Removed:
        """Take a name away; the image goes with its last name. By ID: all its names, if forced.

        Raises :class:`ImageInUse` while a lease holds the image.
        """
        from dockyard.node.image.remove import remove

        return remove(self._catalog, reference, force)

    def prune(
        self, *, everything: bool = False, chosen: Callable[[Image], bool] | None = None
    ) -> Removed:
        """Remove images without a name (``everything``: all without a lease, and the build cache)
        and stray content; of images only those that ``chosen`` wants gone, if it is there."""
        from dockyard.node.image.remove import prune

        return prune(self._catalog, everything, chosen)

    def verify(self, references: Iterable[str] = (), *, repair: bool = False) -> DamageOfImages:
        """Look at every byte of these images (or of all): what each is called, and its damage.

        ``repair``: damaged blobs are removed, so that a pull brings them again, and damaged layers
        too where no container uses them: they are unpacked again when somebody does.
        """
        from dockyard.node.image.verify import verify_all

        with self._catalog.adding():
            return verify_all(self._catalog, list(references), repair=repair)

    def diff(self, base: Image, image: Image) -> Iterator[Change]:
        """What an image's merged tree changes of another's, by content."""
        import contextlib

        from dockyard.node.image.diff import differences
        from dockyard.node.image.snapshot import open_view

        with contextlib.ExitStack() as stack:
            trees: tuple[int, ...] = ()
            for each in (base, image):
                place = stack.enter_context(self.workspace())
                for name in ("upper", "work", "at"):
                    os.mkdir(os.path.join(place, name))
                upper, work, at = (os.path.join(place, name) for name in ("upper", "work", "at"))
                tree = open_view(self.mount_layers(each), upper, work, at, self.driver.name)
                stack.callback(os.close, tree)
                trees = (*trees, tree)
            before, after = trees
            yield from differences(before, after)

    def unpacked(self, image: Image) -> Sizes:
        """Bytes of each layer's files, lowest first."""
        return self._catalog.unpacked(image.layers)

    def unpacked_layers(self, layers: Iterable[Layer]) -> Sizes:
        """As :meth:`unpacked`, of any layers."""
        return self._catalog.unpacked(tuple(layers))

    def usage(self) -> int:
        """Bytes of all blobs, and of what is unpacked of them."""
        return self._catalog.usage()

    def cached(self) -> Layers:
        """Layers that only the build cache keeps, lowest first in no order."""
        return self._catalog.cached()

    def holders(self, image: Image) -> Names:
        """Who leases an image: containers' ids."""
        return self._catalog.holders(image.digest)

    def mount_layers(self, image: Image) -> Directories:
        """Unpacked layer directories for overlayfs' ``lowerdir``, topmost first."""
        return self._catalog.mount_layers(image.layers)

    def layer_directories(self, layers: tuple[Layer, ...]) -> Directories:
        """As :meth:`mount_layers`, of layers (lowest first) that no image has yet."""
        return self._catalog.mount_layers(layers)

    def lease(self, image: Image, holder: str, *, lasting: bool = True) -> None:
        """Keep an image while ``holder`` (a container's id) needs it; once each holder. One that is
        not ``lasting`` ends with this boot of the machine."""
        self._catalog.lease(image, holder, lasting)

    def release(self, holder: str) -> None:
        """Give up a lease; no error where there is none."""
        self._catalog.release(holder)

    def commit_layer(self, upper: str, parent: Digest | None) -> Layer:
        """What an overlay's upper directory holds becomes a layer on top of chain ``parent``.

        The directory is taken over (moved into the store); it must be on the same file system.
        """
        from dockyard.node.image.commit import commit_layer

        return commit_layer(self._catalog, upper, parent)

    def create(
        self, config: ImageConfig, layers: tuple[Layer, ...], reference: str | None = None
    ) -> Image:
        """An image of stored layers, lowest first; ``config``'s diff_ids are set from them."""
        name = parse_reference(reference) if reference else None
        return self._catalog.create(config, layers, name)

    def remember(self, key: str, layer: Layer) -> None:
        """Keep the layer that a build step made, under a hash of all it depended on."""
        self._catalog.remember(key, layer)

    def recall(self, key: str) -> Layer | None:
        """The layer remembered under this key, if it is still whole."""
        return self._catalog.recall(key)

    def keep_whole(self, top: Descriptor, names: Sequence[str], source: Source) -> None:
        """An index with all that it lists, or an image of another manifest than it had, as it was
        made here: under these names, the index' image for this machine under them too."""
        from dockyard.base.oci.manifest import Index
        from dockyard.node.image.whole import Whole

        full = tuple(str(parse_reference(name)) for name in names)
        with self._catalog.adding():
            whole = Whole(self._catalog, source, lambda _: True, _silent(), "build")
            found = whole.document(top)
            if isinstance(found, Index):
                whole.index(found, full, full)
            else:
                whole.image(found, full)

    def adding(self) -> AbstractContextManager[None]:
        """Held while layers are committed that no image has yet: none is collected meanwhile."""
        return self._catalog.adding()

    def workspace(self) -> AbstractContextManager[str]:
        """A temporary directory on the store's file system; gone afterwards, or after a crash."""
        return self._catalog.ingest.directory()


def _silent() -> Silent:
    from dockyard.node.image.progress import Silent

    return Silent()

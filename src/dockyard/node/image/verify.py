"""Turns what the disk holds of images into a list of what is no longer as it came (G06).

Documents and blobs are hashed. A layer is unpacked again from its blob beside the one that
containers use, and the two trees are compared.
"""

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.linux import attributes, whiteouts
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import Index
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.image import ContentMismatch, Layer
from dockyard.node.image.overlayform import Path


class Damage(NamedTuple):
    """One thing that is not as it should be, and what became of it."""

    what: str
    """``blob sha256:...`` or ``layer sha256:...``."""
    reason: str


def verify_all(catalog: Catalog, references: list[str], *, repair: bool) -> dict[str, list[Damage]]:
    """What each of these is called, or each of all, and its damage; an index' that is kept whole,
    and an artifact's, under its own name if no image has it."""
    called = catalog.manifests()
    manifests: list[Digest] = []
    bundles = [] if references else catalog.bundles.digests()
    for text in references:
        if (listed := catalog.find_bundle_digest(text)) is not None:
            bundles.append(listed)
        try:
            manifests.append(catalog.find_manifest(text))
        except Unsupported:
            continue
    wanted = manifests if references else list(called)
    found = {called[one]: verify(catalog, one, repair=repair) for one in wanted}
    for digest in bundles:
        names = catalog.bundles.names(digest)
        damage = found.setdefault(names[0] if names else str(digest), [])
        damage += _of_bundle(catalog, digest, repair=repair)
    return found


def _of_bundle(catalog: Catalog, digest: Digest, *, repair: bool) -> list[Damage]:
    """Of what is here of it, as bytes; what an index names and is not here is no damage."""
    found: list[Damage] = []
    try:
        bundle = catalog.bundles.view(digest)
    except ContentMismatch as error:
        if repair:
            catalog.blobs.discard(digest)
        return [Damage(f"document of {digest}", str(error))]
    if bundle is None:
        return []
    children = isinstance(bundle.document, Index)
    for part in dict.fromkeys(catalog.bundles.parts(bundle.document)):
        if children and not os.path.exists(catalog.blobs.path(part.digest)):
            continue
        if reason := _of_blob(catalog, part):
            found.append(Damage(f"blob {part.digest}", reason))
            if repair:
                catalog.blobs.discard(part.digest)
    return found


def verify(catalog: Catalog, manifest: Digest, *, repair: bool) -> list[Damage]:
    """All damage of one image. ``repair``: what is damaged goes, so that a pull brings it again
    (and an unpacked layer is made of its blob), unless a container uses the image."""
    try:
        image = catalog.view(manifest)
    except ContentMismatch as error:
        return [Damage(f"document of {manifest}", str(error))]
    held = catalog.holders(manifest)
    found: list[Damage] = []
    below: list[Digest] = []
    for layer in image.layers:
        blob = Descriptor(layer.media_type, layer.digest, layer.size)
        reason = _of_blob(catalog, blob)
        if reason:
            found.append(Damage(f"blob {layer.digest}", reason))
            if repair:
                catalog.blobs.discard(layer.digest)
        elif catalog.layers.has(layer.chain_id):
            reason = _of_layer(catalog, layer)
            if reason:
                if repair and not held:
                    catalog.layers.remove(layer.chain_id.hex)
                used = f"; container {held[0][:12]} uses it" if held else ""
                found.append(Damage(f"layer {layer.digest}", reason + used))
        below.append(layer.chain_id)
    return found


def _of_blob(catalog: Catalog, blob: Descriptor) -> str:
    try:
        for _ in catalog.blobs.chunks(blob):
            pass
    except ContentMismatch as error:
        return str(error)
    return ""


def _of_layer(catalog: Catalog, layer: Layer) -> str:
    """The first difference between the unpacked layer and its blob."""
    what = f"layer {layer.digest}"
    chunks = catalog.blobs.chunks(Descriptor(layer.media_type, layer.digest, layer.size))
    try:
        with catalog.layers.unpack(chunks, layer.diff_id, what) as staged:
            return compare(
                os.path.join(staged.directory, "fs"), catalog.layers.path(layer.chain_id),
                frozenset(staged.implied),
            )  # fmt: skip
    except DockyardError as error:
        return str(error)


def compare(right: str, other: str, implied: frozenset[Path]) -> str:
    """Where two trees differ first; empty where they do not. ``implied`` folders have what layers
    below gave them, and are not compared themselves."""
    ours = os.open(right, _FOLDER)
    try:
        theirs = os.open(other, _FOLDER)
        try:
            return next(_differences(ours, theirs, (), implied), "")
        finally:
            os.close(theirs)
    finally:
        os.close(ours)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SECOND = 1_000_000_000
"""A layer that was committed keeps finer times than its tar says."""


def _differences(right: int, other: int, path: Path, implied: frozenset[Path]) -> Iterator[str]:
    names = sorted(os.fsencode(name) for name in os.listdir(right))
    extra = set(map(os.fsencode, os.listdir(other))) - set(names)
    for name in sorted(extra):
        if stat.S_ISSOCK(os.lstat(name, dir_fd=other).st_mode):
            continue  # a socket that a container left has no place in a tar
        yield f"{_shown((*path, name))}: is not of the image"
    for name in names:
        inner = (*path, name)
        before = os.lstat(name, dir_fd=right)
        try:
            after = os.lstat(name, dir_fd=other)
        except FileNotFoundError:
            yield f"{_shown(inner)}: is missing"
            continue
        if stat.S_IFMT(before.st_mode) != stat.S_IFMT(after.st_mode):
            yield f"{_shown(inner)}: is another kind of file"
        elif stat.S_ISDIR(before.st_mode):
            yield from _both(right, other, name, _FOLDER, lambda a, b, at=inner: (  # type: ignore[misc]
                _differences(a, b, at, implied)))  # fmt: skip
        elif not whiteouts.is_mark(right, os.fsdecode(name)):  # whose time is when it was made here
            yield from _of_entry(before, after, inner)
            if stat.S_ISLNK(before.st_mode):
                if os.readlink(name, dir_fd=right) != os.readlink(name, dir_fd=other):
                    yield f"{_shown(inner)}: points elsewhere"
            elif stat.S_ISREG(before.st_mode):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                yield from _both(right, other, name, flags, lambda a, b, at=inner: (  # type: ignore[misc]
                    _of_bytes(a, b, at)))  # fmt: skip
    if path not in implied:
        yield from _of_entry(os.fstat(right), os.fstat(other), path)


def _both(
    right: int, other: int, name: bytes, flags: int, act: Callable[[int, int], Iterator[str]]
) -> Iterator[str]:
    first = os.open(name, flags, dir_fd=right)
    try:
        second = os.open(name, flags, dir_fd=other)
        try:
            yield from act(first, second)
        finally:
            os.close(second)
    finally:
        os.close(first)


def _of_entry(before: os.stat_result, after: os.stat_result, path: Path) -> Iterator[str]:
    if stat.S_ISCHR(before.st_mode) and before.st_rdev == after.st_rdev == 0:
        return  # a whiteout: the time is when it was made here
    for what, of in (
        ("mode", lambda one: stat.S_IMODE(one.st_mode)),
        ("owner", lambda one: (one.st_uid, one.st_gid)),
        ("device", lambda one: one.st_rdev),
        ("time", lambda one: one.st_mtime_ns // _SECOND),
    ):
        if of(before) != of(after):
            yield f"{_shown(path)}: has another {what}"
            return


def _of_bytes(right: int, other: int, path: Path) -> Iterator[str]:
    if attributes.carried(right) != attributes.carried(other):
        yield f"{_shown(path)}: has other attributes"
    while True:
        one, two = os.read(right, CHUNK), os.read(other, CHUNK)
        if one != two:
            yield f"{_shown(path)}: has other bytes"
            return
        if not one:
            return


def _shown(path: Path) -> str:
    return "/" + b"/".join(path).decode("utf-8", "backslashreplace")

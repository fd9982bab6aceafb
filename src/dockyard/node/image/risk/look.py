"""Turns an image's layers and configuration into a :class:`Report`, without running anything.

Every layer is read from its blob, also what a layer above deletes: whoever has the image has that.
"""

import io
import stat
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.users import LAST_ID
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.compression import decompress
from dockyard.node.image.image import Image, Layer
from dockyard.node.image.risk import finding, secrets
from dockyard.node.image.risk.databases import table
from dockyard.node.image.risk.filecaps import effective, names_of
from dockyard.node.image.risk.finding import CONFIG, Distribution, Finding, Report
from dockyard.node.image.risk.marks import Mark, Marks, Path
from dockyard.node.image.tarread import (
    BLOCKDEV,
    CHAR,
    DIRECTORY,
    FILE,
    HARDLINK,
    Entry,
    TarReader,
)

WANTED_LABEL = "io.containers.capabilities"
"""How an image asks podman for capabilities."""
_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_CAPABILITY = b"security.capability"
_PASSWD = (b"etc", b"passwd")
_RELEASES: tuple[Path, ...] = ((b"etc", b"os-release"), (b"usr", b"lib", b"os-release"))
_DOCUMENTS = 256 << 20
"""Bytes of package databases at most, in all layers together."""
_LONGEST_RELEASE = 64 << 10
_MOST_NOTES = 100


class _Seen(NamedTuple):
    """A secret, wherever it is now."""

    path: Path
    layer: int
    kind: str


class _Look:
    def __init__(self, image: Image) -> None:
        self.image = image
        self.marks = Marks(f"image {image.digest}")
        self.secrets: list[_Seen] = []
        self.notes: list[str] = []
        self._read = 0

    def layer(self, number: int, reader: TarReader) -> None:
        gone: dict[tuple[Path, bool], None] = {}
        for entry in reader:
            last = entry.path[-1] if entry.path else b""
            if last.startswith(_WHITEOUT):
                itself = last != _OPAQUE
                name = (last.removeprefix(_WHITEOUT),) if itself else ()
                if self.marks.knows(path := (*entry.path[:-1], *name)):
                    gone[path, itself] = None
            else:
                self._entry(number, entry, reader)
        for path, itself in gone:
            self.marks.whiteout(path, number, itself=itself)

    def _entry(self, number: int, entry: Entry, reader: TarReader) -> None:
        if entry.kind == HARDLINK:
            same = self.marks.get(reader.path(entry.link))
            self.marks.replace(entry.path, directory=False)
            if same is not None:
                self.marks.put(entry.path, same._replace(layer=number))
            return
        self.marks.replace(entry.path, directory=entry.kind == DIRECTORY)
        kinds = list(_kinds(entry))
        document = None
        if entry.kind == FILE and entry.size:
            if _is_document(entry.path):
                document = self._document(entry, reader)
            else:
                name = b"/".join(entry.path)
                for kind in secrets.looked_like(name, _written(entry, reader)):
                    kinds.append((finding.SECRET, kind))
                    self.secrets.append(_Seen(entry.path, number, kind))
        if kinds or document is not None:
            self.marks.put(entry.path, Mark(number, tuple(kinds), document))

    def _document(self, entry: Entry, reader: TarReader) -> bytes | None:
        self._read += entry.size
        if self._read > _DOCUMENTS:
            if len(self.notes) < _MOST_NOTES:
                self.notes.append(f"/{entry.name}: {entry.size} bytes: too much to be read")
            return None
        return b"".join(bytes(piece) for piece in reader.data())

    def report(self) -> Report:
        config, layers = self.image.config, self.image.layers
        found: list[Finding] = []
        wanted: dict[str, None] = {}
        documents: dict[Path, bytes] = {}
        for path, mark in self.marks.all():
            if mark.document is not None:
                documents[path] = mark.document
            for kind, detail in mark.kinds:
                if kind != finding.SECRET:
                    found.append(Finding(kind, _shown(path), layers[mark.layer].digest, detail))
                if kind == finding.CAPABILITY:
                    wanted.update(dict.fromkeys(detail.split()[0].split(",")))
        for seen in self.secrets:
            now = self.marks.get(seen.path)
            hidden = now is None or now.layer != seen.layer
            found.append(Finding(finding.SECRET, _shown(seen.path), layers[seen.layer].digest,
                                 seen.kind, hidden))  # fmt: skip
        found.extend(_of_config(config))
        wanted.update(dict.fromkeys(_labelled(config)))
        packages = table.packages(documents, self.notes)
        return Report(
            user=config.user,
            uid=_uid(config.user, documents.get(_PASSWD, b"")),
            findings=tuple(found),
            distribution=_distribution(documents),
            packages=tuple(packages),
            wanted=tuple(wanted),
            ports=config.exposed_ports,
            volumes=config.volumes,
            notes=tuple(self.notes),
        )


def look(catalog: Catalog, image: Image) -> Report:
    """See :meth:`ImageStore.risk`."""
    found = _Look(image)
    for number, layer in enumerate(image.layers):
        found.layer(number, _reader(catalog, layer))
    return found.report()


def _reader(catalog: Catalog, layer: Layer) -> TarReader:
    what = f"layer {layer.digest}"
    blob = Descriptor(layer.media_type, layer.digest, layer.size)
    return TarReader(decompress(catalog.blobs.chunks(blob), what), what)


def _written(entry: Entry, reader: TarReader) -> Iterator[memoryview]:
    """A file's bytes without its holes, which may be larger than any disk."""
    if entry.sparse is None:
        return reader.data()
    return reader.stored(sum(length for _, length in entry.sparse))


def _is_document(path: Path) -> bool:
    return path == _PASSWD or path in _RELEASES or table.reads(path)


def _kinds(entry: Entry) -> list[tuple[str, str]]:
    found = []
    owner = f"uid {entry.uid} gid {entry.gid}"
    if entry.kind == FILE and entry.mode & stat.S_ISUID:
        found.append((finding.SETUID, f"{stat.filemode(stat.S_IFREG | entry.mode)} {owner}"))
    elif entry.kind == FILE and entry.mode & stat.S_ISGID and entry.mode & stat.S_IXGRP:
        found.append((finding.SETGID, f"{stat.filemode(stat.S_IFREG | entry.mode)} {owner}"))
    value = dict(entry.xattrs).get(_CAPABILITY)
    if value is not None and (names := names_of(value)):
        started = "" if effective(value) else " (not effective at start)"
        found.append((finding.CAPABILITY, ",".join(names) + started))
    sticky = entry.kind == DIRECTORY and entry.mode & stat.S_ISVTX
    if entry.mode & stat.S_IWOTH and not sticky and entry.kind in (FILE, DIRECTORY):
        form = stat.S_IFDIR if entry.kind == DIRECTORY else stat.S_IFREG
        found.append((finding.WRITABLE, f"{stat.filemode(form | entry.mode)} {owner}"))
    if entry.kind in (CHAR, BLOCKDEV):
        letter = "c" if entry.kind == CHAR else "b"
        found.append((finding.DEVICE, f"{letter} {entry.major}:{entry.minor}"))
    return found


def _of_config(config: ImageConfig) -> list[Finding]:
    found = []
    for assignment in config.env:
        name, _, value = assignment.partition("=")
        kinds = secrets.looked_like(b"", [value.encode("utf-8", "replace")])
        if value and secrets.telling_name(name):
            kinds = kinds or ["a value under a telling name"]
        found += [Finding(finding.SECRET, f"env {name}", CONFIG, kind) for kind in kinds]
    for number, step in enumerate(config.history, 1):
        kinds = secrets.looked_like(b"", [step.created_by.encode("utf-8", "replace")])
        found += [Finding(finding.SECRET, f"history {number}", CONFIG, kind) for kind in kinds]
    return found


def _labelled(config: ImageConfig) -> list[str]:
    text = dict(config.labels).get(WANTED_LABEL, "")
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    return [name if name.startswith("CAP_") else f"CAP_{name}" for name in names[:64]]


def _uid(user: str, passwd: bytes) -> int | None:
    name = user.partition(":")[0]
    if name in ("", "root"):
        return 0
    if name.isdecimal():
        return _id(name.encode())
    for line in io.BytesIO(passwd):
        fields = line.split(b":", 3)
        if len(fields) > 2 and fields[0] == name.encode():
            return _id(fields[2])
    return None


def _id(digits: bytes) -> int | None:
    """None for what is no user's number."""
    known = digits.isdigit() and len(digits) <= len(str(LAST_ID)) and int(digits) <= LAST_ID
    return int(digits) if known else None


def _distribution(documents: dict[Path, bytes]) -> Distribution:
    data = next((documents[path] for path in _RELEASES if path in documents), b"")
    values: dict[str, str] = {}
    for line in data[:_LONGEST_RELEASE].decode("utf-8", "replace").splitlines()[:200]:
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            values[key.strip()] = value.strip().strip("\"'")[:200]
    return Distribution(
        values.get("ID", ""), values.get("VERSION_ID", ""), values.get("PRETTY_NAME", "")
    )


def _shown(path: Path) -> str:
    return "/" + b"/".join(path).decode("utf-8", "backslashreplace")

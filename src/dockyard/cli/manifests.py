"""Turns ``-f FILE|DIR|-`` into the objects that are described there, each with where it stands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.base.errors import DockyardError, Invalid, NotFound, Unsupported
from dockyard.cluster.meta.decodeyaml import decode_manifest

SUFFIXES = (".json", ".yaml", ".yml")


class Described(NamedTuple):
    """An object of a manifest."""

    obj: dict[str, Any]
    source: str


def read(names: Iterable[str], *, recursive: bool = False) -> list[Described]:
    """Every object, in order. Raises before anything is done, naming the file."""
    found: list[Described] = []
    for name in names:
        for source, data in _texts(name, recursive):
            try:
                documents = decode_manifest(data)
            except DockyardError as error:
                raise Invalid(f"error parsing {source}: {error}") from error
            for document in documents:
                found += [Described(obj, source) for obj in _objects(document, source)]
    if not found:
        raise Invalid("no objects passed to apply")
    return found


def _texts(name: str, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if name == "-":
        yield "STDIN", sys.stdin.buffer.read()
        return
    if name.startswith(("http://", "https://")):
        raise Unsupported(f"{name}: a URL is not implemented; fetch it: curl URL | dockyard apply "
                          "-f -")  # fmt: skip
    path = Path(name)
    if not path.exists():
        raise NotFound(f'the path "{name}" does not exist')
    if path.is_dir():
        inside = path.rglob("*") if recursive else path.iterdir()
        files = sorted(each for each in inside if each.suffix in SUFFIXES and each.is_file())
        if not files:
            raise NotFound(f"error reading [{name}]: recognized file extensions are "
                           f"[{' '.join(SUFFIXES)}]")  # fmt: skip
    else:
        files = [path]
    for file in files:
        yield str(file), file.read_bytes()


def _objects(document: Any, source: str) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        raise Invalid(f"error parsing {source}: a document is no object: {str(document)[:60]!r}")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            raise Invalid(f"error validating {source}: {field} not set")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, source)
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        if isinstance(metadata, dict) and metadata.get("generateName"):
            raise Invalid(f"error when applying {source}: from {metadata['generateName']}: cannot "
                          "use generate name with apply")  # fmt: skip
        raise Invalid(
            f"error when applying {source}: {document['kind']}: metadata.name: is missing"
        )
    yield document

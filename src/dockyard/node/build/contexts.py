"""Turns the words for build contexts (a folder, ``-``, a git repository, a URL) into trees.

An archive that comes from outside goes through the same reader, with the same limits, as a layer
(E02).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import IO, TYPE_CHECKING

from dockyard.base.errors import Invalid, NotFound
from dockyard.node.build import gitsource
from dockyard.node.build.download import download, is_url
from dockyard.node.build.facts import Material
from dockyard.node.build.ignorefile import open_context
from dockyard.node.build.stage import Origin
from dockyard.node.image.compression import decompress
from dockyard.node.image.extract import extract_files
from dockyard.node.image.tarread import BLOCK, TarReader
from dockyard.node.image.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dockyard.node.image.store import ImageStore

STDIN = "-"
IMAGE = "docker-image://"
LAYOUT = "oci-layout://"
_PIECE = 1 << 20
_LARGEST_DOCKERFILE = 1 << 20


class Main:
    """The main context and the Dockerfile in it."""

    def __init__(
        self, directory: str, dockerfile: bytes | None, commit: int | None, *, temporary: bool
    ) -> None:
        self.directory = directory
        self.temporary = temporary
        """Whether it was fetched: then its Dockerfile must lie in it."""
        self.dockerfile = dockerfile
        """The Dockerfile itself, where there is no directory to look into."""
        self.time = commit
        self.source: Material | None = None
        """What it was fetched from; None of what lies here."""


class Contexts:
    """All contexts of a build. Use ``with``."""

    def __init__(self, store: ImageStore, agent: str = "", *, keeps_git: bool = False) -> None:
        self._store = store
        self._keeps_git = keeps_git
        self._agent = agent
        self._stack = contextlib.ExitStack()
        self._named: dict[str, Origin | str] = {}
        self.materials: list[Material] = []
        """What contexts were fetched."""
        self.local: tuple[str, ...] = ("dockerfile",)
        """The names of those that lie here, and the Dockerfile."""

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, name: str) -> Origin | str | None:
        return self._named.get(name.lower())

    def main(self, word: str, stdin: IO[bytes]) -> Main:
        """Find the main context; :meth:`open_main` opens it once its Dockerfile is known."""
        if word == STDIN:
            return self._from_archive(iter(lambda: stdin.read(_PIECE), b""), "stdin", bare=True)
        address = gitsource.parse_address(word)
        if address is not None:
            return self._from_git(address)
        if is_url(word):
            path = os.path.join(self._space(), "archive")
            download(word, path)
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                found = self._from_archive(iter(lambda: file.read(_PIECE), b""), word, bare=True)
            found.source = Material(word, "sha256", digest)
            self.materials.append(found.source)
            return found
        if not os.path.isdir(word):
            raise NotFound(f"build: {word}: no such directory; a context is a folder, a URL or -")
        return Main(word, None, None, temporary=False)

    def open_main(self, main: Main, dockerfile: str) -> None:
        """``dockerfile``: its path inside the context; empty where it is not there."""
        files = self._stack.enter_context(open_context(main.directory, dockerfile))
        if main.time is not None:
            files.time = main.time * 1_000_000_000
        self._named[""] = Origin(files, "", (main.directory,))
        self.local = ("context", "dockerfile") if main.source is None else ()

    def add(self, name: str, word: str) -> None:
        """``--build-context name=word``."""
        if not name or len(name) > 255:
            raise Invalid(f"build: --build-context {name!r}: NAME=PATH or NAME=URL is expected")
        if word.lower().startswith(IMAGE):
            self._named[name.lower()] = word[len(IMAGE) :]
            return
        if word.lower().startswith(LAYOUT):
            place = LAYOUT + word[len(LAYOUT) :]
            if not os.path.isdir(layout_place(place)[0]):
                raise NotFound(f"build: --build-context {name}: {word}: no such directory")
            self._named[name.lower()] = place
            return
        if word == STDIN:
            raise Invalid(f"build: --build-context {name}: - is the main context's alone")
        found = self.main(word, contextlib.nullcontext())  # type: ignore[arg-type]
        what = f"the context {name}"
        files = self._stack.enter_context(open_context(found.directory, what=what))
        if found.time is not None:
            files.time = found.time * 1_000_000_000
        self._named[name.lower()] = Origin(files, "", (found.directory,))
        if found.source is None:
            self.local = (*self.local, name.lower())

    def _from_git(self, address: gitsource.GitAddress) -> Main:
        space = os.path.join(self._space(), "clone")
        os.mkdir(space)
        keep = self._keeps_git
        found = gitsource.check_out(address, space, keep_git=keep, agent=self._agent)
        made = Main(found.directory, None, found.time, temporary=True)
        uri = f"{address.remote}#{address.ref}" if address.ref else address.remote
        made.source = Material(uri, "sha1", found.commit)
        self.materials.append(made.source)
        return made

    def _from_archive(self, chunks: Iterable[bytes], what: str, *, bare: bool) -> Main:
        """A tar, compressed or not; with ``bare`` also a Dockerfile alone, without a context."""
        plain = iter(decompress(chunks, what))
        start = b""
        for chunk in plain:
            start += chunk
            if len(start) >= BLOCK:
                break
        folder = os.path.join(self._space(), "context")
        os.mkdir(folder, 0o755)
        if bare and not is_tar(start):
            for chunk in plain:
                start += chunk
                if len(start) > _LARGEST_DOCKERFILE:
                    raise Invalid(f"build: {what}: neither a tar nor a Dockerfile")
            return Main(folder, start, None, temporary=True)
        with Tree(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), what) as tree:
            extract_files(TarReader(_chained(start, plain), what), tree, what, (0, 0))
        return Main(folder, None, None, temporary=True)

    def _space(self) -> str:
        return self._stack.enter_context(self._store.workspace())


def layout_place(word: str) -> tuple[str, str]:
    """``oci-layout://PATH[:TAG][@DIGEST]`` as the path, and the tag or digest (``latest``)."""
    path, _, digest = word.removeprefix(LAYOUT).partition("@")
    folder, name = os.path.split(path.rstrip("/"))
    name, _, tag = name.partition(":")
    return os.path.join(folder, name), digest or tag or "latest"


def is_tar(block: bytes) -> bool:
    """Whether the first block of a stream is a tar header: its checksum is right."""
    if len(block) < BLOCK:
        return False
    try:
        told = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return told == sum(block[:148]) + sum(block[156:BLOCK]) + 8 * ord(" ")


def _chained(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest

"""``dockyard cp``: files between a container and this machine, as ``cp -r`` copies."""

from __future__ import annotations

import os
import posixpath
import stat
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, NotFound
from dockyard.cli import common, sizes, terminal

if TYPE_CHECKING:
    import argparse

    from dockyard.node.engine.archive.copy import PathStat
    from dockyard.node.engine.engine import Engine

EXAMPLES = """  dockyard cp web:/etc/nginx/nginx.conf .
  dockyard cp site/. web:/usr/share/nginx/html
  dockyard cp web:/var/log - | tar t
"""
LINKS = 40
"""More in a row than the kernel follows."""
Rename = tuple[bytes, bytes]


def run(argv: list[str]) -> int:
    """Copy one way."""
    parser = common.Parser(
        "cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       "
        "dockyard cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        "Copy files between a container and this machine; `-` is a tar stream.", EXAMPLES,
    )  # fmt: skip
    parser.flag("-a", "--archive", help="to a container: as files of the user it runs as")
    parser.flag("-L", "--follow-link", help="copy what SRC_PATH leads to, not the link")
    parser.flag("-q", "--quiet", help="do not say how much was copied")
    parser.add_argument("source", metavar="SRC_PATH")
    parser.add_argument("target", metavar="DEST_PATH")
    options = parser.parse_args(argv)
    from_container, source = _split(options.source)
    to_container, target = _split(options.target)
    if from_container and to_container:
        raise Invalid("copying between containers is not supported")
    if not from_container and not to_container:
        raise Invalid("must specify at least one container source")
    engine = common.engine()
    if from_container:
        if not source:
            raise Invalid("bad parameter: the path in the container cannot be empty")
        size = _from(engine, from_container, source, target, options)
    else:
        size = _to(engine, source, to_container, target, options)
    if size is not None and not options.quiet and sys.stderr.isatty():
        print(f"Successfully copied {sizes.decimal(size)} to {options.target}", file=sys.stderr)
    return 0


def _split(text: str) -> tuple[str, str]:
    """``CONTAINER:PATH``, or a path of this machine: one with a slash before its first colon."""
    if text.startswith(("/", ".")) or text == "-":
        return "", text
    container, colon, path = text.partition(":")
    return (container, path) if colon and "/" not in container else ("", text)


def _is_folder_name(path: str) -> bool:
    """Whether a path can only be a folder's."""
    return path.endswith(("/", "/.")) or path == "."


def _from(
    engine: Engine, container: str, source: str, target: str, options: argparse.Namespace
) -> int | None:
    rename: bytes | None = None
    if options.follow_link:
        source, rename = _followed(engine, container, source)
    if target == "-":
        if sys.stdout.isatty():
            raise Invalid("refusing to write a tar stream to a terminal; redirect it")
        for piece in engine.read_archive(container, source):
            terminal.write_all(1, piece)
        return None
    found = engine.look(container, source)
    base = rename or os.fsencode(found.name)
    folder, name = _destination(target, found.is_folder)
    first = b"" if source.endswith("/.") or found.name in ("/", ".") else os.fsencode(found.name)
    return _unpacked(engine.read_archive(container, source), folder,
                     (first, name or (base if first else b"")))  # fmt: skip


def _followed(engine: Engine, container: str, path: str) -> tuple[str, bytes]:
    """Where a path leads to in the end, and the name that it had."""
    name = os.fsencode(posixpath.basename(path.rstrip("/")))
    for _ in range(LINKS):
        link = engine.look(container, path).link
        if not link:
            return path, name
        path = posixpath.join(posixpath.dirname(path.rstrip("/")), link)
    raise Invalid(f"{path}: too many levels of symbolic links")


def _destination(path: str, is_folder: bool) -> tuple[str, bytes]:
    """The folder of this machine to copy into, and the name there; empty: that of the source."""
    if os.path.isdir(path):
        return path, b""
    if os.path.lexists(path):
        if is_folder:
            raise Invalid("cannot copy directory")
        path = os.path.realpath(path)
    elif not is_folder and _is_folder_name(path):
        raise NotFound("no such directory")
    folder, name = os.path.split(path.rstrip("/"))
    if not os.path.isdir(folder or "."):
        raise NotFound(f'invalid output path: directory "{folder}" does not exist')
    return folder or ".", os.fsencode(name)


def _unpacked(chunks: Iterator[bytes], folder: str, rename: Rename) -> int:
    from dockyard.node.engine.archive.unpack import unpack
    from dockyard.node.image.tarread import TarReader

    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return unpack(TarReader(chunks, "cp"), root, rename=rename if rename[1] else None,
                      owner=(os.geteuid(), os.getegid()))  # fmt: skip
    finally:
        os.close(root)


def _to(
    engine: Engine, source: str, container: str, target: str, options: argparse.Namespace
) -> int:
    path, there = _target(engine, container, target)
    if source == "-":
        if there is None or not there.is_folder:
            raise Invalid(f'destination "{container}:{target}" must be a directory')
        stdin = iter(lambda: os.read(0, 1 << 16), b"")
        return engine.write_archive(container, path, stdin, archive=options.archive)
    is_folder, parent, last, name = _local(source, options.follow_link)
    if there is not None and there.is_folder:
        rename, folder = name, path
    elif there is not None:
        if is_folder:
            raise Invalid("cannot copy directory")
        folder, rename = posixpath.dirname(path) or "/", _base(path)
    else:
        if not is_folder and (_is_folder_name(target) or not target):
            raise NotFound("no such directory")
        folder, rename = posixpath.dirname(path.rstrip("/")) or "/", _base(path)
    chunks = _packed(parent, last, rename)
    return engine.write_archive(container, folder, chunks, archive=options.archive)


def _base(path: str) -> bytes:
    return os.fsencode(posixpath.basename(path.rstrip("/")))


def _target(engine: Engine, container: str, path: str) -> tuple[str, PathStat | None]:
    """Where a path leads to in the end, and what is there; None: nothing."""
    if not path:
        engine.find(container)
        return "/", None
    path = "/" + path.lstrip("/")
    for _ in range(LINKS):
        try:
            found = engine.look(container, path)
        except NotFound:
            engine.find(container)
            return path, None
        if not found.link:
            return path, found
        path = posixpath.join(posixpath.dirname(path.rstrip("/")), found.link)
    raise Invalid(f"{path}: too many levels of symbolic links")


def _local(path: str, follow: bool) -> tuple[bool, str, bytes, bytes]:
    """(whether it is a folder, its parent's path, its name there, the name to copy it under); a
    name that is empty: what is in it."""
    try:
        follows = follow or _is_folder_name(path)
        found = os.stat(path) if follows else os.lstat(path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise NotFound(f"lstat {os.path.abspath(path)}: {reason}") from error
    is_folder = stat.S_ISDIR(found.st_mode)
    if _is_folder_name(path) and not is_folder:
        raise Invalid(f"{path}: not a directory")
    name = b"" if path.endswith("/.") or path == "." else _base(os.path.abspath(path))
    real = os.path.realpath(path) if follows else os.path.abspath(path)
    return is_folder, os.path.dirname(real) or "/", os.fsencode(os.path.basename(real)), name


def _packed(folder: str, last: bytes, name: bytes) -> Iterator[bytes]:
    from dockyard.node.image.packer import Packer
    from dockyard.node.image.tarwrite import END

    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from Packer().tree(parent, last or b".", (name,) if name else ())
    finally:
        os.close(parent)
    yield END

"""Turns package files into the tar stream of a root file system.

Entries come in an order that only the packages decide, with the packages' own times: the same
packages always make the same image. ``/bin``, ``/sbin`` and ``/lib`` are links into ``/usr``, as
in every Debian since 12.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.errors import Unsupported
from dockyard.node.image import tarread
from dockyard.node.image.bootstrap.bytecode import (
    byte_code,
    cache_folder,
    cache_name,
    compiles,
)
from dockyard.node.image.bootstrap.deb import data_of
from dockyard.node.image.overlayform import Path
from dockyard.node.image.tarread import Entry
from dockyard.node.image.tarwrite import END, tar_entry

_MERGED = (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32")
_UNUSED = re.compile(
    rb"usr/share/(doc|man|info|locale|lintian|bug|i18n|bash-completion|gcc|gdb)/.*"
    rb"|usr/lib/(systemd|python3/debpython|python3\.[0-9]+/(test|idlelib|turtledemo|lib2to3))/.*"
    rb"|usr/lib/[^/]+/gconv/.*|.*/__pycache__/.*|etc/(init\.d|apt|dpkg)/.*"
)
"""Documentation, translations and what only an installed system uses."""

_DIRECTORIES = ("dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin",
                "usr/lib", "usr/sbin", "var", "var/tmp")  # fmt: skip
_STICKY = ("tmp", "var/tmp")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class Busybox(NamedTuple):
    """The host's static busybox, and the names it answers to."""

    path: str
    applets: tuple[str, ...]


def find_busybox() -> Busybox:
    """The host's; it must be static: an image has no libraries for it."""
    path = shutil.which("busybox", path="/usr/bin:/bin")
    if path is None:
        raise Unsupported("busybox: not on this host; install busybox-static")
    with open(path, "rb") as file:
        if b"ld-linux" in file.read(4096):
            raise Unsupported(f"busybox: {path}: needs libraries; install busybox-static")
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout
    return Busybox(path, tuple(sorted(listed.split())))


def compose(debs: list[str], busybox: Busybox | None) -> Iterator[bytes]:
    """The whole tar. What a package brings goes before busybox' applet of the same name."""
    laid: set[Path] = set()
    yield from _skeleton(laid)
    for deb in debs:
        yield from _package(deb, laid)
    if busybox is not None:
        yield from _busybox(busybox, laid)
    for name, text in _FILES.items():
        path = _path(name)
        if path not in laid:
            data = text.encode()
            entry = _made(tarread.FILE, path, 0o644)._replace(size=len(data))
            yield from tar_entry(entry, lambda data=data: [data])  # type: ignore[misc]
    yield END


def _skeleton(laid: set[Path]) -> Iterator[bytes]:
    for name in _DIRECTORIES:
        mode = 0o1777 if name in _STICKY else 0o700 if name == "root" else 0o755
        laid.add(_path(name))
        yield from tar_entry(_made(tarread.DIRECTORY, _path(name), mode))
    for target in _MERGED[:3]:
        laid.add((target,))
        link = _made(tarread.SYMLINK, (target,), 0o777)
        yield from tar_entry(link._replace(link=b"usr/" + target))


def _package(deb: str, laid: set[Path]) -> Iterator[bytes]:
    reader = data_of(deb)
    for entry in reader:
        path = _merged(entry.path)
        if path in laid or not path or _UNUSED.fullmatch(b"/".join(path)):
            continue
        if path[:-1] == (b"usr",) and path[-1] in _MERGED and (path[-1],) not in laid:
            yield from _link_to(path[-1], laid)
        laid.add(path)
        link = entry.link
        if entry.kind == tarread.HARDLINK:
            link = b"/".join(_merged(reader.path(link)))
        laying = entry._replace(path=path, link=link, xattrs=())
        if entry.kind == tarread.FILE and compiles(path, entry.size):
            yield from _python(laying, b"".join(reader.data()), laid)
        else:
            yield from tar_entry(laying, lambda: (bytes(piece) for piece in reader.data()))


def _python(entry: Entry, source: bytes, laid: set[Path]) -> Iterator[bytes]:
    """A Python source, and its byte code."""
    yield from tar_entry(entry, lambda: [source])
    code = byte_code(entry.path, source)
    if code is None:
        return
    folder = cache_folder(entry.path)
    if folder not in laid:
        laid.add(folder)
        made = _made(tarread.DIRECTORY, folder, 0o755)
        yield from tar_entry(made._replace(mtime=entry.mtime))
    path = (*folder, cache_name(entry.path))
    yield from tar_entry(entry._replace(path=path, mode=0o644, size=len(code)), lambda: [code])


def _link_to(name: bytes, laid: set[Path]) -> Iterator[bytes]:
    laid.add((name,))
    yield from tar_entry(_made(tarread.SYMLINK, (name,), 0o777)._replace(link=b"usr/" + name))


def _busybox(busybox: Busybox, laid: set[Path]) -> Iterator[bytes]:
    program = (b"usr", b"bin", b"busybox")
    if program not in laid:
        with open(busybox.path, "rb") as file:
            data = file.read()
        entry = _made(tarread.FILE, program, 0o755)._replace(size=len(data))
        yield from tar_entry(entry, lambda: [data])
    folders = ((b"usr", b"bin"), (b"usr", b"sbin"))
    for applet in busybox.applets:
        name = os.fsencode(applet)
        if name != b"busybox" and not any((*folder, name) in laid for folder in folders):
            link = _made(tarread.SYMLINK, (*folders[0], name), 0o777)
            yield from tar_entry(link._replace(link=b"busybox"))


def _merged(path: Path) -> Path:
    return (b"usr", *path) if path and path[0] in _MERGED else path


def _path(name: str) -> Path:
    return tuple(os.fsencode(part) for part in name.split("/"))


def _made(kind: bytes, path: Path, mode: int) -> Entry:
    return Entry(kind, path, mode, 0, 0, 0, 0, b"", 0, 0, ())

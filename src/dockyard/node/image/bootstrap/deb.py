"""Turns a Debian package file into its files' entries (deb(5): ar with control.tar, data.tar)."""

import os
from collections.abc import Iterator

from dockyard.base.errors import Corrupt
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.compression import decompress
from dockyard.node.image.tarread import TarReader

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MEMBERS = 16


def data_of(path: str) -> TarReader:
    """A reader over the files that the package installs."""
    what = f"package {os.path.basename(path)}"
    return TarReader(decompress(_member(path, b"data.tar", what), what), what)


def _member(path: str, wanted: bytes, what: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise Corrupt(f"{what}: not a Debian package; remove it and try again")
        for _ in range(_MEMBERS):
            header = file.read(_HEADER)
            digits = header[48:58].strip()
            if len(header) < _HEADER or header[58:] != b"`\n" or not digits.isdigit():
                break
            size = int(digits)
            if not header.startswith(wanted):
                file.seek(size + size % 2, os.SEEK_CUR)
                continue
            while size > 0:
                chunk = file.read(min(CHUNK, size))
                if not chunk:
                    raise Corrupt(f"{what}: is cut off; remove it and try again")
                size -= len(chunk)
                yield chunk
            return
    raise Corrupt(f"{what}: no {wanted.decode()} in it; remove it and try again")

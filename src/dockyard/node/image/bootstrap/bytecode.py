"""Turns Python sources of an image into their byte code, so that no container compiles them.

Only where the image's Python is the one that runs here, since byte code is made for one version.
"""

import importlib.util
import marshal
import re
import sys

from dockyard.node.image.overlayform import Path

_SOURCE = re.compile(rb"usr/lib/python3(?:\.([0-9]+))?/.*\.py")
_LARGEST = 4 << 20
_UNCHECKED = (1).to_bytes(4, "little")  # PEP 552: valid by its hash, which nobody compares
_NO_REFERENCES = 2
"""marshal's format without back references: those depend on what else the process has in memory,
and the same packages must make the same image."""


def compiles(path: Path, size: int) -> bool:
    """Whether this file is a source that this Python can compile for the image."""
    match = _SOURCE.fullmatch(b"/".join(path))
    ours = sys.implementation.name == "cpython" and size <= _LARGEST
    return ours and match is not None and match[1] in (None, b"%d" % sys.version_info.minor)


def cache_folder(path: Path) -> Path:
    return (*path[:-1], b"__pycache__")


def cache_name(path: Path) -> bytes:
    stem = path[-1].removesuffix(b".py")
    return stem + f".{sys.implementation.cache_tag}.pyc".encode()


def byte_code(path: Path, source: bytes) -> bytes | None:
    """The pyc's bytes; None for a source that is no program of this version."""
    name = "/" + b"/".join(path).decode("utf-8", "surrogateescape")
    try:
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return None
    found = importlib.util.source_hash(source)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + found + marshal.dumps(code, _NO_REFERENCES)

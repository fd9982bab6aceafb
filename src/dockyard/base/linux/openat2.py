"""Turns a path that nobody trusts into a descriptor that lies inside a directory (openat2(2)).

Linux 5.6. The kernel walks the path: no component can be swapped between a check and its use.
"""

import errno
import os

from dockyard.base.errors import Unsupported
from dockyard.base.linux import foreign
from dockyard.base.linux.door import call

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_TRIES = 64


class OpenHow(foreign.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = [
        ("flags", foreign.c_uint64),
        ("mode", foreign.c_uint64),
        ("resolve", foreign.c_uint64),
    ]


def openat2(directory: int, path: bytes | str, flags: int, resolve: int, mode: int = 0) -> int:
    """A close-on-exec descriptor of ``path`` below ``directory``; the caller closes it.

    Raises ``OSError``; :class:`Unsupported` where the kernel is too old.
    """
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("openat2: a path with a NUL")
    how = OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_TRIES):
        try:
            return call("openat2", directory, name, how, foreign.sizeof(how))
        except OSError as error:
            if error.errno == errno.ENOSYS:
                text = "openat2: this kernel has none: Linux 5.6 or newer is needed"
                raise Unsupported(text) from None
            # EAGAIN: something was renamed or mounted during the walk (RESOLVE_IN_ROOT)
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise type(error)(error.errno, error.strerror, os.fsdecode(name)) from None
    raise OSError(errno.EAGAIN, "the path kept changing", os.fsdecode(name))


def open_in_root(directory: int, path: bytes | str, flags: int, mode: int = 0) -> int:
    """``path`` with ``directory`` as its root: absolute links and ``..`` stay inside."""
    return openat2(directory, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode)

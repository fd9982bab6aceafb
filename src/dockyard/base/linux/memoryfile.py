"""Turns bytes into a file in memory that nobody can change any more (memfd_create(2))."""

import errno
import fcntl
import os

from dockyard.base.linux.door import through

MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC = 1, 2, 8, 0x10
EVERY_SEAL = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed(name: str, data: bytes, *, executable: bool = False) -> int:
    """A close-on-exec descriptor of the file, at its beginning."""
    flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
    try:
        wanted = flags | (MFD_EXEC if executable else MFD_NOEXEC_SEAL)
        descriptor = through("memfd_create", os.memfd_create, name, wanted)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # before Linux 6.3 there are no such flags: every memfd can be executed
        descriptor = through("memfd_create", os.memfd_create, name, flags)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, EVERY_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor

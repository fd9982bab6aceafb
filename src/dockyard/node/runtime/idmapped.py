"""Turns id mappings into the descriptor of a user namespace that has them."""

from __future__ import annotations

import contextlib
import os
import socket

from dockyard.base.linux import passing, syscalls
from dockyard.base.oci import idmaps
from dockyard.base.oci.idmaps import IdMap, IdRange

LAST = 2**32 - 2


def with_root(ranges: IdMap) -> IdMap:
    """And one id on disk that is the host's root: overlayfs makes folders of its own as that."""
    if any(one.outside == 0 for one in ranges) or idmaps.covers(ranges, LAST):
        return ranges
    return (*ranges, IdRange(LAST, 0, 1))


def maps_of(userns: int) -> list[IdMap]:
    """The ids of a namespace that is there: a process enters it and reads them."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # as this process sees them: they are translated for whoever opens the file
            opened = [os.open("/proc/self/uid_map", os.O_RDONLY), os.open("/proc/self/gid_map", 0)]
            syscalls.setns(userns, syscalls.CLONE_NEWUSER)
            for descriptor in opened:
                os.write(theirs, os.read(descriptor, 1 << 16) + b".")
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        texts = file.read().decode().split(".")[:2]
    os.waitpid(pid, 0)
    return [tuple(IdRange(*map(int, line.split())) for line in text.splitlines()) for text in texts]


def open_userns(uids: IdMap, gids: IdMap) -> int:
    """A namespace that nobody is in; it ends with its descriptor. Needs CAP_SETUID.

    The process that makes it says where it is: its pid in this process's /proc is not known here.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            passing.send(theirs, b"x", [os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)])
            theirs.recv(1)
        finally:
            os._exit(1)
    theirs.close()
    try:
        with ours:
            said, found = passing.receive(ours, 1, 1)
            if not said or not found:
                raise OSError("user namespace: it could not be made")
            folder = found[0]
            try:
                for name, ranges in (("uid_map", uids), ("gid_map", gids)):
                    _write(folder, name, idmaps.lines(ranges))
                return os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
            finally:
                os.close(folder)
    finally:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _write(folder: int, name: str, text: str) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        shown = text.strip().replace("\n", ", ")
        raise type(error)(error.errno, f"{name}: {shown}: {error.strerror}") from error
    finally:
        os.close(descriptor)

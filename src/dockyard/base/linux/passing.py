"""Turns descriptors into a message on a unix socket, and back (SCM_RIGHTS, unix(7))."""

import _socket  # a monitor uses it, and keeps what it touches: `socket` has enumerations
import os
import struct

_BYTES = 4


def send(peer: _socket.socket, data: bytes, descriptors: list[int]) -> None:
    """Send copies of descriptors along with at least one byte."""
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    peer.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def receive(peer: _socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """A message and what came along, close-on-exec. More than ``most`` is an error.

    The kernel drops what has no room and says so (MSG_CTRUNC): then nothing is kept.
    """
    room = _socket.CMSG_SPACE(most * _BYTES)
    data, ancillary, flags, _ = peer.recvmsg(size, room, _socket.MSG_CMSG_CLOEXEC)
    found: list[int] = []
    for level, kind, content in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            whole = content[: len(content) - len(content) % _BYTES]
            found.extend(memoryview(whole).cast("i"))
    # room is rounded up to words, so one more may have come than was asked for
    if flags & _socket.MSG_CTRUNC or len(found) > most:
        for descriptor in found:
            os.close(descriptor)
        raise OSError(f"recvmsg: more than {most} descriptors came along")
    return data, found

"""Turns a new network namespace's loopback device on: netdevice(7)."""

from __future__ import annotations

import _socket
import fcntl
import struct

from dockyard.base import contexts
from dockyard.base.linux.door import through

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_REQUEST = struct.Struct("16sh22x")
"""``struct ifreq``: a name and flags."""


def turn_on() -> None:
    """In this process's namespace: 127.0.0.1 and ::1 come with it. Needs CAP_NET_ADMIN there."""
    with contexts.closing(
        _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    ) as any_socket:
        request = _REQUEST.pack(b"lo", _IFF_UP)
        through("ioctl", fcntl.ioctl, any_socket.fileno(), _SIOCSIFFLAGS, request)

"""Turns a client's connection to a monitor into requests, and the monitor's answers into frames."""

from __future__ import annotations

import _socket
import errno
import os
import struct
from _socket import socket as Plain  # a monitor touches less memory with it

from dockyard.base.aio.now import monotonic
from dockyard.base.errors import Denied
from dockyard.base.suppress import suppress
from dockyard.node.runtime import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from dockyard.node.runtime.loop import Loop
    from dockyard.node.runtime.streams import Session

BACKLOG = 128
SECONDS_OF_DEAFNESS = 0.1
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""No descriptor, or no memory, for one more client."""
_CREDENTIALS = struct.Struct("3i")


class Connection:
    """One client: ``handle`` takes what it asks for, ``session`` is what it is attached to."""

    def __init__(
        self,
        peer: Plain,
        loop: Loop,
        handle: Callable[[Connection, dict[str, Any]], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self.session: Session | None = None
        self.command = 0
        """Pid of the command that this client has started; 0: none."""
        self._peer, self._loop, self._handle, self._gone = peer, loop, handle, gone
        self._decoder = wire.Decoder()
        self._out = bytearray()
        self._closed = False
        peer.setblocking(False)
        self._refresh()

    def send(self, data: bytes) -> None:
        """Queue frames; they leave as the client reads."""
        if self._closed:
            return
        if not self._out:
            try:
                sent = self._peer.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            data = data[sent:]
        if data:
            self._out += data
            self._refresh()

    def say(self, **message: Any) -> None:
        """Queue a control frame."""
        self.send(wire.control(message))

    def pending(self) -> int:
        """Bytes that the client has not taken yet."""
        return len(self._out)

    def close(self) -> None:
        """End the connection; a second time changes nothing."""
        if self._closed:
            return
        self._closed = True
        self._loop.forget(self._peer.fileno())
        self._peer.close()
        self._out.clear()
        self._gone(self)

    def refresh(self) -> None:
        """Ask for what can make progress now."""
        if not self._closed:
            self._refresh()

    def _refresh(self) -> None:
        full = self.session is not None and self.session.input_is_full
        self._loop.watch(
            self._peer.fileno(),
            read=None if full else self._on_readable,
            write=self._on_writable if self._out else None,
        )

    def _on_writable(self) -> None:
        try:
            sent = self._peer.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del self._out[:sent]
        self._refresh()
        if self.session is not None:
            self.session.refresh()

    def _on_readable(self) -> None:
        try:
            data = self._peer.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for kind, payload in self._decoder.feed(data):
                self._take(kind, payload)
        except (wire.Broken, ValueError) as error:
            self.say(error=str(error), code=125)
            self.close()
        except MemoryError:  # what it has sent is most of what there is
            self.close()

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == wire.STDIN:
            if self.session is not None:
                self.session.write(payload)
                self._refresh()
        elif kind == wire.CONTROL:
            message = wire.PLAIN.get(payload) or wire.parsed(payload)
            if not isinstance(message, dict):
                raise wire.Broken("monitor protocol: a control frame without an object")
            self._handle(self, message)
        else:
            raise wire.Broken(f"monitor protocol: a client sent a frame of kind {kind}")


if TYPE_CHECKING:

    class Accept(Protocol):
        """Called with each new client."""

        def __call__(self, peer: Plain) -> object: ...


def bind(path: str) -> Plain:
    """A socket that only its owner's processes may use: 0600."""
    listener = Plain(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        with wire.address(path) as address:
            listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def unlink(path: str) -> None:
    """Take its name away, if it has it still."""
    with suppress(FileNotFoundError):
        os.unlink(path)


class Listener:
    """Takes clients of such a socket; each peer's uid is checked.

    Where this process, or the machine, has no room for one more, it is deaf for a moment
    (``deaf_until``, monotonic seconds; 0: it is not), and who waits stays in the queue.
    """

    def __init__(self, descriptor: int, loop: Loop, accept: Accept, own_uid: int) -> None:
        self._socket, self._loop, self._accept = Plain(fileno=descriptor), loop, accept
        self._own_uid, self.deaf_until = own_uid, 0.0
        # again: to its clients this process is the peer, not who made it
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)
        self.listen()

    def fileno(self) -> int:
        return self._socket.fileno()

    def listen(self) -> None:
        """Also again, after it was deaf."""
        self.deaf_until = 0.0
        self._loop.watch(self.fileno(), read=self._take, write=None)

    def _take(self) -> None:
        try:
            descriptor, _ = self._socket._accept()  # type: ignore[attr-defined]
        except OSError as error:  # also of clients that have gone already: accept(2)
            if error.errno in SHORT:
                self.deaf_until = monotonic() + SECONDS_OF_DEAFNESS
                self._loop.forget(self.fileno())  # else it would be ready all the time
            return
        peer = Plain(fileno=descriptor)
        try:
            check_peer(peer, self._own_uid)
        except Denied:
            peer.close()
            return
        self._accept(peer)

    def close(self) -> None:
        self._loop.forget(self.fileno())
        self._socket.close()


def check_peer(peer: Plain, own_uid: int) -> None:
    """Refuse a peer that runs as somebody else: SO_PEERCRED, unix(7)."""
    credentials = peer.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    if uid not in (own_uid, 0):
        raise Denied(f"monitor: a client with uid {uid}: not the owner")

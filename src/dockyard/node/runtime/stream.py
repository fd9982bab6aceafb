"""Turns a connection to a monitor into a container's standard streams, for one client."""

from __future__ import annotations

import _socket

from dockyard.base import jsontext
from dockyard.base.errors import Unavailable
from dockyard.interfaces.ociruntime import Exit, Frame, StartFailed
from dockyard.node.runtime import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def connect(run_dir: str) -> _socket.socket:
    """A connection to a container's monitor. Raises :class:`Unavailable` when there is none."""
    peer = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        with wire.address(wire.socket_path(run_dir)) as address:
            peer.connect(address)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        peer.close()
        raise Unavailable(f"monitor: {run_dir}: the container is not running") from None
    return peer


def ask(peer: _socket.socket, **message: Any) -> dict[str, Any]:
    """One request and its answer. Raises :class:`StartFailed` with what the monitor says."""
    peer.sendall(wire.control(message))
    return answer(peer)


def answer(peer: _socket.socket) -> dict[str, Any]:
    """The next control frame; an error in it is raised."""
    found = wire.receive(peer)
    if found is None:
        raise Unavailable("monitor: it ended before it answered")
    said: dict[str, Any] = jsontext.loads(found[1])
    if "error" in said:
        raise StartFailed(said["error"], int(said.get("code", 125)))
    return said


class MonitorStream:
    """The client's end of a container's (or a command's) standard streams."""

    def __init__(self, peer: _socket.socket) -> None:
        self._peer = peer
        self.exit: Exit | None = None

    def fileno(self) -> int:
        return self._peer.fileno()

    def read(self) -> Frame | None:
        while True:
            try:
                found = wire.receive(self._peer)
            except ConnectionResetError:
                return None
            if found is None:
                return None
            kind, data = found
            if kind in (wire.STDOUT, wire.STDERR):
                return Frame(kind, data)
            said = jsontext.loads(data)
            if "exit" in said:
                self.exit = Exit(
                    said["exit"], bool(said.get("oom_killed")), float(said.get("finished", 0))
                )
                return None
            if "error" in said:
                raise StartFailed(said["error"], int(said.get("code", 125)))

    def write(self, data: bytes) -> None:
        self._peer.sendall(wire.frame(wire.STDIN, data))

    def close_stdin(self) -> None:
        self._peer.sendall(wire.control({"op": "eof"}))

    def resize(self, rows: int, columns: int) -> None:
        self._peer.sendall(wire.control({"op": "resize", "rows": rows, "columns": columns}))

    def signal(self, number: int) -> None:
        self._peer.sendall(wire.control({"op": "interrupt", "number": number}))

    def exit_code(self) -> int | None:
        return None if self.exit is None else self.exit.code

    def close(self) -> None:
        self._peer.close()

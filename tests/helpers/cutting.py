"""A link between a client and a server that is cut behind so many bytes, as a test wants it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator
from typing import NamedTuple

UP, DOWN = "up", "down"


class Cut(NamedTuple):
    """After so many bytes of one direction. ``reset``: with RST; else both ends see a plain end."""

    direction: str
    after: int
    reset: bool = False


class Link:
    """``address`` leads to the server. The n-th connection gets the n-th cut; later ones none."""

    def __init__(self, server: str, cuts: list[Cut]) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._cuts = iter(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.carried = {UP: 0, DOWN: 0}
        """Bytes that went through."""
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stop, self._stopped = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def close(self) -> None:
        self._stop.close()
        self._acceptor.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()
        self._stopped.close()

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._stopped], [], [])
            if self._stopped in ready:
                return
            client, _ = self._listener.accept()
            cut = next(self._cuts, None)
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(client, cut))
            self._threads.append(thread)
            thread.start()

    def _run(self, client: socket.socket, cut: Cut | None) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._server) as server:
            self._carry(client, server, cut)

    def _carry(self, client: socket.socket, server: socket.socket, cut: Cut | None) -> None:
        others = {client: (server, UP), server: (client, DOWN)}
        left = {UP: 1 << 60, DOWN: 1 << 60}
        if cut is not None:
            left[cut.direction] = cut.after
        while left[UP] and left[DOWN]:
            ready, _, _ = select.select([*others, self._stopped], [], [])
            if self._stopped in ready:
                return
            for source in ready:
                target, direction = others[source]
                data = source.recv(min(65536, left[direction] or 1))
                if not data:
                    return
                left[direction] -= len(data)
                with self._lock:
                    self.carried[direction] += len(data)
                target.sendall(data)
        if cut is not None and cut.reset:
            for end in (client, server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def link(server: str, *cuts: Cut) -> Iterator[Link]:
    found = Link(server, list(cuts))
    try:
        yield found
    finally:
        found.close()

"""Turns an ssh agent's socket into one that a step may use, for as long as it runs."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING

from dockyard.base.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 16
_AT_ONCE = 32


@contextlib.contextmanager
def serve(path: str, agent: str) -> Iterator[None]:
    """Listen at ``path``; each connection is carried to ``agent``."""
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.connect(agent)
    except OSError as error:
        raise NotFound(f"ssh: {agent}: no agent answers: {error.strerror}") from error
    ours, theirs = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener, ours, theirs:
        listener.bind(path)
        listener.listen(_AT_ONCE)
        thread = threading.Thread(target=_carry, args=(listener, theirs, agent), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            thread.join()


def _carry(listener: socket.socket, end: socket.socket, agent: str) -> None:
    """One thread for all connections; an agent's messages are small."""
    peers: dict[socket.socket, socket.socket] = {}
    try:
        while True:
            ready, _, _ = select.select([listener, end, *peers], [], [])
            if end in ready:
                return
            if listener in ready:
                _join(listener, agent, peers)
            for source in ready:
                if source in peers and not _pass(source, peers[source]):
                    for each in (source, peers[source]):
                        peers.pop(each)
                        each.close()
                    break  # what is ready may have gone with it
    finally:
        for each in peers:
            each.close()


def _join(listener: socket.socket, agent: str, peers: dict[socket.socket, socket.socket]) -> None:
    client, _ = listener.accept()
    if len(peers) >= 2 * _AT_ONCE:
        client.close()
        return
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(agent)
    except OSError:
        client.close()
        server.close()
        return
    peers[client], peers[server] = server, client


def _pass(source: socket.socket, target: socket.socket) -> bool:
    """Whether the connection goes on."""
    try:
        data = source.recv(_PIECE)
        if data:
            target.sendall(data)
        return bool(data)
    except OSError:
        return False

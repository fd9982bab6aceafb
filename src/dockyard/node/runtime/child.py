"""Turns the monitor's side of a start into a child: its pid, its streams, what its start said."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from dockyard.interfaces.ociruntime import StartFailed


class Streams(NamedTuple):
    """The monitor's ends of a child's standard streams; -1 is none."""

    stdin: int
    stdout: int
    stderr: int


class Child:
    """A forked process on its way to its program."""

    def __init__(self, terminal: bool, open_stdin: bool) -> None:
        self.terminal = terminal
        self.pid = 0
        self.streams = Streams(-1, -1, -1)
        self.sync, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._given: list[int] = []
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._given.append(null)
        self.stdio = (null, null, null)
        if not terminal:
            out, err = os.pipe(), os.pipe()
            in_ = os.pipe() if open_stdin else (null, -1)
            self.stdio = (in_[0], out[1], err[1])
            self.streams = Streams(in_[1], out[0], err[0])
            self._given += [out[1], err[1], *([in_[0]] if open_stdin else [])]

    def fork(self, body: Callable[[socket.socket], NoReturn]) -> None:
        """Start the process; ``body`` runs in it and gets its end of the socket."""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.sync.close()
                body(self._theirs)
            finally:
                os._exit(1)
        self._theirs.close()
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []

    def go(self) -> None:
        """It is in its control group: let it build, and wait until it has."""
        self.sync.send(b"go")
        message, descriptors, _, _ = socket.recv_fds(self.sync, 65536, 1)
        if message != b"ready":
            raise _failure(message)
        if self.terminal:
            self.streams = Streams(descriptors[0], descriptors[0], -1)

    def start(self) -> None:
        """Let it execute its program. Raises :class:`StartFailed` with what it said."""
        self.sync.send(b"start")
        message = self.sync.recv(65536)
        self.sync.close()
        if message:
            raise _failure(message)

    def close(self) -> None:
        """Let go of everything: the start has failed."""
        self.sync.close()
        self._theirs.close()
        kept = {stream for stream in self.streams if stream >= 0}
        for descriptor in (*self._given, *kept):
            os.close(descriptor)
        self._given, self.streams = [], Streams(-1, -1, -1)


def _failure(message: bytes) -> StartFailed:
    if not message:
        return StartFailed("container init: ended before it could say why", 125)
    said = json.loads(message)
    return StartFailed(said["error"], int(said["code"]))

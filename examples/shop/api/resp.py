"""Turns method calls into Redis commands (RESP2) and their replies into Python values."""

import os
import socket
from typing import Any


class Redis:
    """One connection. Replies are str, int, None or lists of them; an error reply raises."""

    def __init__(self, address: str, password: str) -> None:
        host, _, port = address.partition(":")
        self._socket = socket.create_connection((host, int(port or 6379)), timeout=3)
        self._file = self._socket.makefile("rb")
        self("AUTH", password)

    def __call__(self, *words: str) -> Any:
        packed = b"*%d\r\n" % len(words)
        for word in words:
            data = word.encode()
            packed += b"$%d\r\n%s\r\n" % (len(data), data)
        self._socket.sendall(packed)
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis: the connection ended in the middle of a reply")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RuntimeError(f"redis: {rest}")
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"*":
            return [self._reply() for _ in range(size)]
        return self._file.read(size + 2)[:-2].decode()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def connect() -> Redis:
    """The shop's database, named by REDIS_ADDRESS and REDIS_PASSWORD."""
    return Redis(os.environ["REDIS_ADDRESS"], os.environ["REDIS_PASSWORD"])

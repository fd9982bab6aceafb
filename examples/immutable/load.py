"""Turns a port into a steady stream of requests, and counts what came of each.

Half of the clients keep their connection, half open one for each request. Nothing is sent twice.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

CLIENTS = 4
PAUSE = 0.02


@dataclass
class Tally:
    """What came of the requests. ``gap``: seconds, the longest wait between two answers."""

    sent: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gap: float = 0.0
    last: float = field(default_factory=time.monotonic)


class Load:
    """``with Load(port) as load``: requests run until the block ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.tally = Tally()
        self._threads = [
            threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self, number: int) -> None:
        keep = number % 2 == 0
        connection = self._connection()
        count = 0
        while not self._stop.wait(PAUSE):
            count += 1
            note = f"note {number}-{count}" if count % 5 == 0 else ""
            closes = self._request(connection, note)
            if closes or not keep:
                connection.close()
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)

    def _request(self, connection: http.client.HTTPConnection, note: str) -> bool:
        """Whether the connection is used up."""
        try:
            if note:
                connection.request("POST", "/notes", note.encode())
            else:
                connection.request("GET", "/version")
            answer = connection.getresponse()
            value = json.loads(answer.read())
            wanted = 201 if note else 200
            if answer.status != wanted:
                raise ValueError(f"status {answer.status}")
            self._count(value.get("version") or value["by"], note)
            return answer.will_close
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            with contextlib.suppress(OSError):
                connection.close()
            with self._lock:
                self.tally.sent += 1
                self.tally.failures.append(f"{note or 'GET /version'}: {error!r}")
            return True

    def _count(self, version: str, note: str) -> None:
        with self._lock:
            tally, instant = self.tally, time.monotonic()
            tally.sent += 1
            tally.versions[version] += 1
            tally.gap = max(tally.gap, instant - tally.last)
            tally.last = instant
            if note:
                tally.notes.append(note)

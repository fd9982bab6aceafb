"""Turns the steps of a build into BuildKit's status events, one JSON object a line."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import threading
from typing import Any

from dockyard.base.aio import now

_STDOUT = 1


class RawJson:
    """``--progress=rawjson``: what another program reads; the shape of BuildKit's SolveStatus."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._build = secrets.token_hex(8)

    def step(self, name: str) -> RawStep:
        with self._lock:
            self._count += 1
            number = self._count
        return RawStep(self, self._identity(f"{number} {name}"), name)

    def note(self, text: str) -> None:
        shown = base64.b64encode(text.encode()).decode()
        self.write(warnings=[{"vertex": self._identity("notes"), "level": 1, "short": shown}])

    def close(self, *, failed: bool) -> None:
        pass

    def write(self, **members: Any) -> None:
        with self._lock:
            print(json.dumps(members), file=sys.stderr, flush=True)

    def _identity(self, text: str) -> str:
        """Of one vertex of one build."""
        return f"sha256:{hashlib.sha256(f'{self._build} {text}'.encode()).hexdigest()}"


class RawStep:
    """One vertex."""

    def __init__(self, report: RawJson, identity: str, name: str) -> None:
        self._report = report
        self._vertex: dict[str, Any] = {"digest": identity, "name": name, "started": _stamp()}
        self._tell()

    def cached(self) -> None:
        self._vertex["cached"] = True

    def output(self, data: bytes) -> None:
        log = {
            "vertex": self._vertex["digest"],
            "stream": _STDOUT,
            "data": base64.b64encode(data).decode(),
            "timestamp": _stamp(),
        }
        self._report.write(logs=[log])

    def done(self) -> None:
        self._vertex["completed"] = _stamp()
        self._tell()

    def failed(self, reason: str) -> None:
        self._vertex["error"] = reason
        self.done()

    def _tell(self) -> None:
        self._report.write(vertexes=[self._vertex])


def _stamp() -> str:
    return now.micro_stamp(now.wall())

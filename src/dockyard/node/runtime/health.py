"""Turns a container's health check into what is known of its health: a file that others read.

Docker's rules: the command runs once an interval; so many failures in a row make a container
unhealthy, one success healthy; failures in the start period of one that was never healthy do not
count. The last five results are kept, in the shape of ``docker inspect``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any, Protocol

from dockyard.base.aio.now import nano_stamp
from dockyard.base.errors import DockyardError
from dockyard.interfaces.ociruntime import HealthCheck
from dockyard.node.runtime import wire

KEPT_RESULTS, KEPT_CHANGES = 5, 64
LONGEST_OUTPUT = 4096
STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
LEFT_OUT, TIMED_OUT = 125, -1


class Runs(Protocol):
    """Starts commands in the container, and ends them."""

    def execute(self, client: Any, message: dict[str, Any]) -> None: ...

    def signal(self, pid: int, number: int) -> None: ...


class Health:
    """The health of one container, from its start to its end."""

    def __init__(
        self,
        check: HealthCheck,
        path: str,
        runs: Runs,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.check, self._path, self._runs = check, path, runs
        self._monotonic, self._wall = monotonic, wall
        self._began = monotonic()
        self._due = self._began + self._interval(STARTING)
        self._probe: Probe | None = None
        self.status, self.streak = STARTING, 0
        self.results: list[dict[str, Any]] = []
        self.changes: list[tuple[float, str]] = []
        self._write()

    def turn(self) -> float:
        """Do what is due; seconds until something is again."""
        now = self._monotonic()
        if self._probe is not None:
            left = self._probe.deadline - now
            if left > 0:
                return left
            self._probe.expire()
            return self.check.timeout
        if now >= self._due:
            self._probe = Probe(self, now + self.check.timeout, self._wall())
            self._probe.start(self._runs, self.check.process)
            return self.check.timeout
        return self._due - now

    def done(self, result: dict[str, Any] | None) -> None:
        """A probe has ended; None: it could not be made now, as in a paused container."""
        self._probe = None
        self._due = self._monotonic() + self._interval(self.status)
        if result is None:
            return
        self.results = [*self.results, result][-KEPT_RESULTS:]
        if result["ExitCode"] == 0:
            self.streak = 0
            self._become(HEALTHY)
        elif not (self.status == STARTING and self._is_young()):
            self.streak += 1
            if self.streak >= self.check.retries:
                self._become(UNHEALTHY)
        self._due = self._monotonic() + self._interval(self.status)
        self._write()

    def end(self) -> None:
        """The container has ended: it does no work."""
        self.status = UNHEALTHY
        self._write()

    def _become(self, status: str) -> None:
        if status != self.status:
            self.status = status
            self.changes = [*self.changes, (self._wall(), status)][-KEPT_CHANGES:]

    def _is_young(self) -> bool:
        return self._monotonic() - self._began < self.check.start_period

    def _interval(self, status: str) -> float:
        young = status == STARTING and self._is_young()
        return self.check.start_interval if young else self.check.interval

    def _write(self) -> None:
        said = {"Status": self.status, "FailingStreak": self.streak, "Log": self.results,
                "Changes": self.changes}  # fmt: skip
        with contextlib.suppress(OSError):  # a full disk ends no container
            with open(f"{self._path}.new", "w") as file:
                json.dump(said, file)
            os.replace(f"{self._path}.new", self._path)


class Probe:
    """One run of the check: a client of the container's commands that keeps what it hears."""

    def __init__(self, health: Health, deadline: float, began: float) -> None:
        self.session: Any = None
        self.command = 0
        self.deadline = deadline
        self._health, self._began = health, began
        self._decoder = wire.Decoder()
        self._output = bytearray()
        self._runs: Runs | None = None
        self._expired = self._over = False

    def start(self, runs: Runs, process: Any) -> None:
        self._runs = runs
        try:
            runs.execute(self, {"process": process, "stdin": False})
        except (DockyardError, OSError):
            self._finish(None)

    def expire(self) -> None:
        """It has taken too long."""
        self.deadline += self._health.check.timeout
        self._expired = True
        if self._runs is not None and self.command:
            self._runs.signal(self.command, signal.SIGKILL)
        self._finish(TIMED_OUT)

    def send(self, data: bytes) -> None:
        for _, piece in self._decoder.feed(data):
            self._output += piece
            if len(self._output) > LONGEST_OUTPUT:
                del self._output[LONGEST_OUTPUT:]

    def say(self, **message: Any) -> None:
        if "exit" in message:
            self._finish(int(message["exit"]))
        elif "error" in message:
            self._output += message["error"].encode()[:LONGEST_OUTPUT]
            self._finish(int(message.get("code", LEFT_OUT)))
        elif self._expired and self._runs is not None:  # it was too late before it had begun
            self._runs.signal(int(message.get("pid", 0)), signal.SIGKILL)

    def pending(self) -> int:
        return 0

    def refresh(self) -> None: ...

    def _finish(self, code: int | None) -> None:
        if self._over:
            return
        self._over = True
        text = self._output.decode(errors="replace")
        if self._expired:
            seconds = f"{self._health.check.timeout:g}s"
            text = f"Health check exceeded timeout ({seconds})"
        now = self._health._wall()
        self._health.done(None if code is None else {
            "Start": nano_stamp(self._began), "End": nano_stamp(now), "ExitCode": code,
            "Output": text,
        })  # fmt: skip

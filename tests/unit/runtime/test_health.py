"""Health checks on a clock that the test turns: the rules of docker's HEALTHCHECK reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.interfaces.ociruntime import HealthCheck, StartFailed
from dockyard.node.runtime import wire
from dockyard.node.runtime.health import Health


class Commands:
    """What the monitor would run; the test ends it."""

    def __init__(self) -> None:
        self.running: list[Any] = []
        self.killed: list[int] = []
        self.refuses = False

    def execute(self, client: Any, message: dict[str, Any]) -> None:
        if self.refuses:
            raise StartFailed("exec: the container is paused; resume it first", 125)
        assert message == {"process": {"args": ["check"]}, "stdin": False}
        client.command = 42
        client.say(ok=True, pid=42)
        self.running.append(client)

    def signal(self, pid: int, number: int) -> None:
        self.killed.append(pid)


class Bench:
    def __init__(self, folder: Path, **changes: float) -> None:
        self.now = 1000.0
        self.commands = Commands()
        self.path = folder / "health.json"
        check = HealthCheck({"args": ["check"]}, 30.0, 10.0, 3, 0.0, 5.0)._replace(**changes)
        self.health = Health(check, str(self.path), self.commands, self.clock, self.clock)

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float) -> float:
        """Time passes; what the loop would wait for then."""
        self.now += seconds
        return self.health.turn()

    def result(self, code: int, text: bytes = b"") -> None:
        client = self.commands.running.pop()
        if text:
            client.send(wire.frame(wire.STDOUT, text))
        client.say(exit=code)

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found


def test_it_waits_an_interval_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.said["Status"] == "starting"
    assert bench.after(29) == 1.0
    assert bench.commands.running == []
    assert bench.after(1) == 10.0
    assert len(bench.commands.running) == 1
    bench.result(0, b"fine")
    assert bench.said["Status"] == "healthy"
    assert [each["Output"] for each in bench.said["Log"]] == ["fine"]
    assert bench.after(0) == 30.0


def test_so_many_failures_in_a_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for streak, status in ((1, "starting"), (2, "starting"), (3, "unhealthy"), (4, "unhealthy")):
        bench.after(30)
        bench.result(1)
        assert (bench.said["FailingStreak"], bench.said["Status"]) == (streak, status)
    bench.after(30)
    bench.result(0)
    assert (bench.said["FailingStreak"], bench.said["Status"]) == (0, "healthy")
    assert len(bench.said["Log"]) == 5
    assert [status for _, status in bench.said["Changes"]] == ["unhealthy", "healthy"]


def test_the_start_period(tmp_path: Path) -> None:
    bench = Bench(tmp_path, start_period=12.0, start_interval=5.0, retries=1)
    bench.after(5)
    bench.result(1)
    bench.after(5)
    bench.result(1)
    assert (bench.said["FailingStreak"], bench.said["Status"]) == (0, "starting")
    bench.after(5)
    bench.result(1)
    assert bench.said["Status"] == "unhealthy"


def test_a_success_in_the_start_period_ends_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, start_period=100.0, start_interval=5.0, retries=1, interval=30.0)
    bench.after(5)
    bench.result(0)
    assert bench.after(0) == 30.0
    bench.after(30)
    bench.result(1)
    assert bench.said["Status"] == "unhealthy"


def test_one_that_takes_too_long(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=1)
    bench.after(30)
    assert bench.after(9) == 1.0
    bench.after(1)
    assert bench.commands.killed == [42]
    [result] = bench.said["Log"]
    assert (result["ExitCode"], result["Output"]) == (-1, "Health check exceeded timeout (10s)")
    bench.commands.running.pop().say(exit=137)  # its end comes late
    assert len(bench.said["Log"]) == 1
    bench.after(30)
    assert len(bench.commands.running) == 1


def test_a_program_that_is_missing_is_a_failure(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=1)
    bench.after(30)
    bench.commands.running.pop().say(error="exec: no such program", code=127)
    [result] = bench.said["Log"]
    assert (result["ExitCode"], result["Output"]) == (127, "exec: no such program")


def test_a_container_that_takes_no_command_now_is_asked_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retries=1)
    bench.commands.refuses = True
    bench.after(30)
    assert bench.said["Log"] == []
    bench.commands.refuses = False
    assert bench.after(29) == 1.0
    bench.after(1)
    bench.result(0)
    assert bench.said["Status"] == "healthy"


def test_much_output_is_cut(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.after(30)
    bench.commands.running[0].send(wire.frame(wire.STDERR, b"\xff" + b"x" * 10000))
    bench.result(1)
    assert len(bench.said["Log"][0]["Output"]) == 4096


@pytest.mark.parametrize("code", [0, 1])
def test_the_end_is_unhealthy(tmp_path: Path, code: int) -> None:
    bench = Bench(tmp_path)
    bench.after(30)
    bench.result(code)
    bench.health.end()
    assert bench.said["Status"] == "unhealthy"

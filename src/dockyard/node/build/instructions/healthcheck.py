"""``HEALTHCHECK``: turns a command into the image's word on whether its program works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.base.oci.durations import duration
from dockyard.node.build.words import json_list

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage

TIMES = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
         "start-interval": "StartInterval"}  # fmt: skip
NANO = 1_000_000_000
SHORTEST = 1_000_000
"""Nanoseconds of any of these times, as Docker has it."""


class HealthCheck(NamedTuple):
    line: Line
    check: dict[str, Any]
    """Docker's ``Healthcheck`` object."""

    def apply(self, stage: Stage) -> None:
        text = json.dumps(self.check, separators=(",", ":"))
        stage.config = stage.config._replace(healthcheck=text)
        stage.record(self.line.text)


def parse(line: Line) -> HealthCheck:
    options = line.options(*TIMES, "retries")
    kind, _, rest = line.rest.partition(" ")
    kind, rest = kind.upper(), rest.strip()
    if kind == "NONE":
        if rest or options:
            raise line.invalid("NONE takes neither arguments nor flags")
        return HealthCheck(line, {"Test": ["NONE"]})
    if kind != "CMD":
        raise line.invalid(f"{kind[:40]!r}: CMD or NONE is expected")
    if not rest:
        raise line.invalid("CMD: a command is expected")
    words = json_list(line._replace(rest=rest))
    check: dict[str, Any] = {"Test": ["CMD-SHELL", rest] if words is None else ["CMD", *words]}
    for name, member in TIMES.items():
        if name in options:
            check[member] = _nanoseconds(line, name, options[name])
    if "retries" in options:
        text = options["retries"]
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            raise line.invalid(f"--retries={text[:40]}: a number is expected")
        check["Retries"] = int(text)
    return HealthCheck(line, {name: value for name, value in check.items() if value})


def _nanoseconds(line: Line, name: str, text: str) -> int:
    seconds = duration(text)
    if seconds is None:
        raise line.invalid(f"--{name}={text[:40]}: a time like 30s or 1m30s is expected")
    found = round(seconds * NANO)
    if 0 < found < SHORTEST:
        raise line.invalid(f"--{name}={text}: cannot be less than 1ms")
    return found

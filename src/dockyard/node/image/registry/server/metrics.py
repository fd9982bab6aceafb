"""Turns what a registry does into Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import bisect
from collections.abc import Callable

PREFIX = "dockyard_registry"
TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
"""Seconds of a request."""


class Metrics:
    """Counters. Only the event loop's thread changes them."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        """(route, method, status): how many."""
        self.hits = 0
        """Answers from memory; they are of route ``manifest``, method GET or HEAD, status 200."""
        self._durations: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._counters: dict[str, tuple[str, float]] = {}
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        buckets = self._durations.get(route)
        if buckets is None:
            buckets = self._durations[route] = [0] * (len(BOUNDS) + 1)
        buckets[bisect.bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def count(self, name: str, help: str, amount: float = 1) -> None:
        """Add to a counter."""
        self._counters[name] = (help, self._counters.get(name, (help, 0.0))[1] + amount)

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """A value that is asked for when somebody looks."""
        self._gauges[name] = (help, value)

    def text(self) -> bytes:
        """All of them."""
        lines = _head("requests_total", "counter", "Requests by route, method and status.")
        for (route, method, status), number in sorted(self.requests.items()):
            lines.append(
                f'{PREFIX}_requests_total{{route="{route}",method="{method}",status="{status}"}}'
                f" {number}"
            )
        lines += _head("memory_answers_total", "counter", "Manifests answered from memory.")
        lines.append(f"{PREFIX}_memory_answers_total {self.hits}")
        lines += _head("request_seconds", "histogram", "How long requests took, by route.")
        for route, buckets in sorted(self._durations.items()):
            total = 0
            for bound, number in zip((*BOUNDS, "+Inf"), buckets, strict=True):
                total += number
                lines.append(
                    f'{PREFIX}_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
                )
            lines.append(
                f'{PREFIX}_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            )
            lines.append(f'{PREFIX}_request_seconds_count{{route="{route}"}} {total}')
        for name, (help, value) in sorted(self._counters.items()):
            lines += [*_head(name, "counter", help), f"{PREFIX}_{name} {value:.17g}"]
        for name, (help, ask) in sorted(self._gauges.items()):
            lines += [*_head(name, "gauge", help), f"{PREFIX}_{name} {ask():.17g}"]
        return "\n".join([*lines, ""]).encode()


def _head(name: str, kind: str, help: str) -> list[str]:
    return [f"# HELP {PREFIX}_{name} {help}", f"# TYPE {PREFIX}_{name} {kind}"]

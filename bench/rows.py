"""Turns measurements into rows of the results: what was measured, against whom, and the goal."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One line of the results."""

    what: str
    """What was measured, and against whom."""
    ours: float
    peer: float | None
    """Measured in the same run, in turns with ours; None where there is no peer."""
    ratio: float | None
    """ours / peer; None where the goal is an absolute number."""
    goal: float | None
    """For the ratio if there is one, else for ``ours``; None: measured for its own sake."""
    unit: str
    at_least: bool = False
    """More is better."""
    noise: float | None = None
    """The larger interquartile range of the two, as a part of its median."""
    fastest: float | None = None
    """The ratio of the fastest of each: what others on the machine disturb least."""
    profile: str = ""
    """Where our time (or memory) goes."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        value = self.ours if self.ratio is None else self.ratio
        return value >= self.goal if self.at_least else value <= self.goal


def table(rows: list[Row]) -> str:
    """Rows as a table of Markdown, and below it where the rest goes."""
    head = ["what", "ours", "peer", "ratio", "goal", "met", "noise", "fastest"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        bound = "at least" if row.at_least else "at most"
        unit = "x" if row.ratio is not None else row.unit
        cells = [
            row.what,
            f"{_number(row.ours)} {row.unit}",
            "" if row.peer is None else f"{_number(row.peer)} {row.unit}",
            "" if row.ratio is None else f"{row.ratio:.2f} x",
            "" if row.goal is None else f"{bound} {row.goal:g} {unit}",
            {True: "yes", False: "**no**", None: ""}[row.met],
            "" if row.noise is None else f"{row.noise:.0%}",
            "" if row.fastest is None else f"{row.fastest:.2f} x",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    profiles = [f"- {row.what}: {row.profile}" for row in rows if row.profile]
    return "\n".join([*lines, *(["", *profiles] if profiles else [])])


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"

"""``STOPSIGNAL``: turns a signal's name or number into the one that asks the program to end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class StopSignal(NamedTuple):
    line: Line

    def apply(self, stage: Stage) -> None:
        name = stage.expand(self.line.rest, self.line)
        known = {item.name for item in signal.Signals}
        number = int(name) if name.isascii() and name.isdecimal() and len(name) < 4 else 0
        full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
        if not 0 < number <= signal.SIGRTMAX and full not in known:
            raise self.line.invalid(f"{name[:40]!r}: a signal is expected (SIGTERM, 15)")
        stage.config = stage.config._replace(stop_signal=name)
        stage.record(f"STOPSIGNAL {name}")


def parse(line: Line) -> StopSignal:
    line.options()
    return StopSignal(line)

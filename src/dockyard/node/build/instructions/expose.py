"""``EXPOSE``: turns port words into the ports that the image says it listens on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import split

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage

_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_LAST = 65535


class Expose(NamedTuple):
    line: Line
    words: tuple[str, ...]

    def apply(self, stage: Stage) -> None:
        found = set(stage.config.exposed_ports)
        for word in self.words:
            found |= ports(stage.expand(word, self.line), self.line)
        stage.config = stage.config._replace(exposed_ports=tuple(sorted(found)))
        stage.record(self.line.text)


def ports(text: str, line: Line) -> set[str]:
    """``80``, ``80/udp`` or ``8000-8010/tcp``, as ``port/protocol``."""
    match = _PORT.fullmatch(text.rpartition(":")[2])  # a host's address and port say nothing
    if match is None:
        raise line.invalid(f"{text[:40]!r}: PORT[-PORT][/tcp|udp|sctp] is expected")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last <= _LAST:
        raise line.invalid(f"{text}: ports are 1 to {_LAST}, the lower one first")
    protocol = (match[3] or "tcp").lower()
    return {f"{port}/{protocol}" for port in range(first, last + 1)}


def parse(line: Line) -> Expose:
    line.options()
    return Expose(line, tuple(split(line)))

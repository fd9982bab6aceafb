"""Turns a container's streams into this terminal's, and its end into an exit code."""

from __future__ import annotations

import sys

from dockyard.base.errors import DockyardError
from dockyard.cli import common, terminal
from dockyard.cli.detachkeys import DEFAULT, parse_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from dockyard.interfaces.ociruntime import Stream
    from dockyard.node.engine.engine import Engine

SECONDS_FOR_THE_END = 10.0
KILLED = 137
"""Of a program whose monitor was killed, and it with it."""


def keys_of(options: argparse.Namespace) -> str:
    """``--detach-keys``, checked before anything is started."""
    keys: str | None = options.detach_keys
    if keys is None:
        return DEFAULT
    parse_keys(keys)
    return keys


def attach(
    engine: Engine,
    container_id: str,
    stream: Stream,
    *,
    stdin: bool,
    terminal_wanted: bool,
    proxy: bool = True,
    keys: str = DEFAULT,
    shown: tuple[int, ...] = (1, 2),
) -> int | None:
    """Carry the streams until the end: the program's exit code; None when the user left.

    With a terminal nothing is passed on as a signal: the keys are, and the terminal there knows.
    """
    try:
        code = terminal.pump(
            stream, stdin=stdin, terminal=terminal_wanted, proxy=proxy and not terminal_wanted,
            keys=keys, shown=shown,
        )  # fmt: skip
    except terminal.Detached:
        print("read escape sequence", file=sys.stderr)
        return None
    finally:
        stream.close()
    if code is not None:
        return code
    try:  # its monitor was cut off: who looks next knows how it ended
        ended = engine.wait(container_id, SECONDS_FOR_THE_END)
    except DockyardError:
        ended = None
    return ended.exit_code if ended else common.USAGE_ERROR

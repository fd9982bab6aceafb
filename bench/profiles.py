"""Turns one of our commands into a sentence on where its time goes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from measure import by_turns, process

ROUNDS = 15
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|( *)(\S+)$")


def of_python(*command: str, env: dict[str, str] | None = None) -> str:
    """Of the whole: an interpreter that does nothing, importing, and the work itself."""
    program = os.fspath(Path(sys.executable).parent / Path(command[0]).name)
    found = by_turns(
        {
            "empty": process(sys.executable, "-c", "", env=env),
            "whole": process(program, *command[1:], env=env),
        },
        ROUNDS,
    )
    empty, whole = found["empty"].median, found["whole"].median
    imports = importing(program, *command[1:], env=env)
    rest = whole - empty - imports
    return (
        f"of {whole:.0f} ms a Python that does nothing takes {empty:.0f}, "
        f"our imports {imports:.0f}, the work {max(0.0, rest):.0f}"
    )


def importing(*command: str, env: dict[str, str] | None = None) -> float:
    """Milliseconds that a command spends in imports which an empty Python does not make."""
    words = ["-X", "importtime", command[0], *command[1:]]
    return max(0.0, _imports(words, env) - _imports(["-X", "importtime", "-c", ""], env))


def _imports(words: list[str], env: dict[str, str] | None) -> float:
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    matches = map(_LINE.match, done.stderr.splitlines())
    return sum(int(match.group(1)) for match in matches if match) / 1000

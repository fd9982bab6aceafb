"""Turns errors, warnings and debug messages into lines on standard error or in the log.

The log is what shims and engines read back: logrus' text form or one JSON object a line.
"""

from __future__ import annotations

import os
import sys

from dockyard.base import jsontext
from dockyard.base.aio.now import stamp, wall
from dockyard.node.runtime.oci.verb import Globals

_MARKS = str.maketrans("", "", "-._/@^+")
_SHORT = {"error": "ERRO", "warning": "WARN", "debug": "DEBU", "info": "INFO"}


def line(level: str, text: str, form: str, seconds: float) -> str:
    """One record."""
    time = stamp(seconds)
    if form == "json":
        return jsontext.dumps({"level": level, "msg": text, "time": time})
    rest = text.translate(_MARKS)
    quoted = text if rest.isalnum() and rest.isascii() else jsontext.dumps(text)
    return f'time="{time}" level={level} msg={quoted}'


class Report:
    """Where a command says what has happened."""

    def __init__(self, globals_: Globals) -> None:
        self._globals = globals_

    def error(self, text: str) -> None:
        """The end of the command. With a log, people are told too."""
        self._write("error", text)
        if self._globals.log:
            print(text, file=sys.stderr)

    def warning(self, text: str) -> None:
        """Something was left out."""
        self._write("warning", text)

    def debug(self, text: str) -> None:
        """A step, with ``--debug``."""
        if self._globals.debug:
            self._write("debug", text)

    def _write(self, level: str, text: str) -> None:
        form = self._globals.log_format
        if self._globals.log:
            record = line(level, text, form, wall()).encode() + b"\n"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_SYNC
            descriptor = os.open(self._globals.log, flags, 0o644)
            try:
                os.write(descriptor, record)
            finally:
                os.close(descriptor)
        elif form == "text" and sys.stderr.isatty():
            print(f"{_SHORT[level]}[0000] {text}", file=sys.stderr)
        else:
            print(line(level, text, form, wall()), file=sys.stderr)

"""A program on a terminal of its own, and what appears there."""

from __future__ import annotations

import os
import pty
import select
from collections.abc import Mapping, Sequence

from dockyard.base.aio.now import monotonic


class Console:
    """Type, and wait for an answer. Close it, also after a failure."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execve(words[0], list(words), dict(environment))
        self.seen = b""

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def expect(self, text: bytes, seconds: float = 20.0) -> None:
        """Until it has appeared; what came before it is forgotten."""
        deadline = monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - monotonic()))
            assert ready, f"{text!r} not in {self.seen!r}"
            try:
                self.seen += os.read(self._master, 4096)
            except OSError:  # the other side has ended
                assert text in self.seen, self.seen
        self.seen = self.seen.partition(text)[2]

    def code(self) -> int:
        """The program's exit code, once it has ended; its last words in ``seen``."""
        while True:
            try:
                piece = os.read(self._master, 4096)
            except OSError:
                break
            if not piece:
                break
            self.seen += piece
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        os.close(self._master)
        if self.pid:
            os.waitpid(self.pid, 0)

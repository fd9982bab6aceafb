"""A program on a terminal of its own, and what appears there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
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

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size now, and the program is told."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

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
        self.close()
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0

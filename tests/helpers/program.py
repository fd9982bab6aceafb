"""The `dockyard` program as a person uses it: on a data root of its own, or on a terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dockyard.base.aio.now import monotonic, pause

PROGRAM = [str(Path(sys.executable).parent / "dockyard")]


class Shell:
    """Runs the program on a data root of its own."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.root, self.tree = root, str(tree)
        self.env = {**os.environ, "DOCKYARD_ROOT": str(root)}

    def __call__(self, *words: str, stdin: bytes = b"", check: bool = True) -> str:
        done = self.full(*words, stdin=stdin)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def full(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*PROGRAM, *words], input=stdin, capture_output=True, env=self.env,
                              timeout=60)  # fmt: skip

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self.full("run", "--network", "none", "--rootfs", self.tree, *words, stdin=stdin)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execve(PROGRAM[0], [*PROGRAM, *words], shell.env)
        self.seen = b""

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def expect(self, text: bytes, seconds: float = 10.0) -> None:
        deadline = monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - monotonic()))
            assert ready, f"{text!r} not in {self.seen!r}"
            try:
                self.seen += os.read(self._master, 4096)
            except OSError:
                assert text in self.seen, self.seen
                return
        self.seen = self.seen.partition(text)[2]

    def resize(self, rows: int, columns: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def code(self) -> int:
        while True:  # what it still prints must be read, or it waits
            try:
                if not os.read(self._master, 4096):
                    break
            except OSError:
                break
        _, status = os.waitpid(self.pid, 0)
        os.close(self._master)
        return os.waitstatus_to_exitcode(status)


def eventually(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Look until it holds; fail when it does not by then."""
    deadline = monotonic() + seconds
    while not holds():
        assert monotonic() < deadline, "it has not come to hold"
        pause(0.02)


def parent_of(pid: int) -> int:
    """Of a container's first process: its monitor."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

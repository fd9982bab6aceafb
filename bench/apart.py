"""Runs a peer where it can run: crun 1.8 refuses hybrid cgroups, so it gets a mount namespace
without the unified hierarchy, in which one process starts it as often as it is asked to.

Protocol, line by line: a command as JSON comes in; the milliseconds that it took, or a negative
exit status, go out. What the namespace and this process cost is in no measurement.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import measure

UNIFIED = "/sys/fs/cgroup/unified"
ENTER = f'mountpoint -q {UNIFIED} && umount {UNIFIED}; exec "$0" "$@"'


class Apart:
    """The starter, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def timed(self, *command: str) -> measure.Timed:
        """The command, as something that can be measured."""
        line = json.dumps([measure.which(command[0]), *command[1:]])

        def once() -> float:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            took = float(self._process.stdout.readline())
            if took < 0:
                raise RuntimeError(f"{line}: exit status {-took:.0f}")
            return took

        return once


@contextmanager
def apart() -> Iterator[Apart]:
    """A starter in a mount namespace without the unified hierarchy."""
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", ENTER, sys.executable, str(Path(__file__).resolve())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Apart(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def main() -> None:
    """Inside: start what is asked for."""
    for line in sys.stdin:
        took = -1.0
        with suppress(RuntimeError):
            took = measure.process(*json.loads(line))()
        print(took, flush=True)


if __name__ == "__main__":
    main()

"""Turns Debian's dockerd into a peer with everything of its own, and takes it away again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Timed, output, process, which

SECONDS_TO_START = 60
SECONDS_TO_END = 30


class Docker:
    """The daemon, through Debian's own command line."""

    def __init__(self, socket: Path, pid: int) -> None:
        self.pid = pid
        self._words = ["/usr/bin/docker", "-H", f"unix://{socket}"]

    def __call__(self, *words: str) -> str:
        return output(*self._words, *words)

    def timed(self, *words: str, env: dict[str, str] | None = None) -> Timed:
        """A command line that can be measured."""
        return process(*self._words, *words, env=env)


@contextmanager
def dockerd(base: Path) -> Iterator[Docker]:
    """A daemon in this process's network namespace; nothing of it outside of ``base``."""
    place = base / "dockerd"
    place.mkdir()
    socket = place / "docker.sock"
    (place / "daemon.json").write_text("{}")
    command = [
        which("dockerd"), "--config-file", str(place / "daemon.json"),
        "--data-root", str(place / "data"), "--exec-root", str(place / "exec"),
        "--pidfile", str(place / "pid"), "--host", f"unix://{socket}", "--log-level", "error",
    ]  # fmt: skip
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(socket, daemon, place / "log")
        yield Docker(socket, daemon.pid)
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        unmount_below(base)


def _wait_for(socket: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    docker = Docker(socket, daemon.pid)
    while True:
        try:
            docker("version")
            return
        except RuntimeError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd: {log.read_text()[-2000:]}") from error
            time.sleep(0.1)


def unmount_below(base: Path) -> None:
    """What an engine leaves mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{base}/"):
            subprocess.run(["umount", "-l", point], check=True)


def processes_of(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes_of(int(child))
    return found

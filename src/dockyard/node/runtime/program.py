"""Turns an OCI runtime's command line (runc's, which the others have too) into calls."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from typing import Any

from dockyard.base.aio.now import monotonic, pause
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime.execution import DEFAULT_PATH, FAILED, NOT_EXECUTABLE, NOT_FOUND

Stdio = tuple[int, int, int]
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
"""By monitors; a container's program must not inherit it."""
SECONDS = 30.0
"""How long a call may take that nobody can go on without."""
TURN = 0.002


class Program:
    """One container's runtime. ``folder`` is the container's own: all that it keeps is there."""

    def __init__(self, path: str, folder: str, container: str) -> None:
        self._path, self.folder, self._id = path, folder, container
        self._count = 0
        self._log = f"{folder}/log.json"

    def spawn(self, verb: str, *words: str, stdio: Stdio) -> int:
        """The pid of a call that runs; its container is named last."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._log)
        command = (self._path, "--root", f"{self.folder}/state", "--log", self._log, "--log-format",
                   "json", verb, *words, self._id)  # fmt: skip
        moves = [(os.POSIX_SPAWN_DUP2, descriptor, number)
                 for number, descriptor in enumerate(stdio)]  # fmt: skip
        try:
            return os.posix_spawn(self._path, command, {"PATH": DEFAULT_PATH}, file_actions=moves,
                                  setsid=True, setsigdef=IGNORED, setsigmask=())  # fmt: skip
        except OSError as error:
            raise StartFailed(f"runtime: {self._path}: {error.strerror}", FAILED) from error

    def call(self, verb: str, *words: str, stdio: Stdio) -> None:
        """A call that is waited for. Raises :class:`StartFailed` with what it says."""
        pid, deadline = self.spawn(verb, *words, stdio=stdio), monotonic() + SECONDS
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                break
            if monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise StartFailed(
                    f"runtime: {self._path} {verb}: no end in {SECONDS:.0f} s", FAILED
                )
            pause(TURN)
        if status:
            raise self.failure(verb, os.waitstatus_to_exitcode(status))

    def file(self, name: str, document: Mapping[str, Any]) -> str:
        """Write a document into the folder: its path."""
        path = f"{self.folder}/{name}"
        with open(path, "w", opener=_private) as file:
            json.dump(without_nulls(document), file)
        return path

    def name(self, what: str) -> str:
        """A path in the folder that no call has used."""
        self._count += 1
        return f"{self.folder}/{what}.{self._count}"

    def failure(self, verb: str, code: int) -> StartFailed:
        """Why a call has failed: the last error in its log, with the exit code of a shell."""
        text = f"exit code {code}"
        with contextlib.suppress(OSError), open(self._log, errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    said = json.loads(line)
                    if said["level"] in ("error", "fatal"):
                        text = str(said["msg"])
        return StartFailed(f"{os.path.basename(self._path)} {verb}: {text}", exit_code(text))


def exit_code(text: str) -> int:
    """What a runtime's words about a program that it cannot execute mean to a shell. Pure."""
    text = text.lower()
    if "executable file" in text or ("exec" in text and "no such file or directory" in text):
        return NOT_FOUND
    if "exec" in text and ("permission denied" in text or "exec format error" in text):
        return NOT_EXECUTABLE
    return FAILED


def without_nulls(value: Any) -> Any:
    """A document without members that say nothing: crun takes null for a wrong type."""
    if isinstance(value, Mapping):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [without_nulls(each) for each in value]
    return value


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)

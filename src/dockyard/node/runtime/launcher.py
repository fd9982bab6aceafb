"""Turns launches into monitors: by a fork of this process, or of a warm launchpad."""

from __future__ import annotations

import _socket
import os
import sys
from _thread import allocate_lock  # `threading` brings more than a command needs

from dockyard.base import contexts
from dockyard.base.errors import Unavailable
from dockyard.base.linux import door
from dockyard.base.linux.door import through
from dockyard.base.typed import Protocol
from dockyard.interfaces.ociruntime import Launch
from dockyard.node.runtime import ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

_SOURCES = os.path.abspath(f"{os.path.dirname(__file__)}/../../..")
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from dockyard.node.runtime.launchpad import main; main()"
)
"""Without ``site``, which imports what installed packages ask for: every monitor would carry it."""


class Launcher(Protocol):
    """Starts monitors."""

    def forks(self) -> bool:
        """Whether the next launch forks this process."""

    def launch(self, launch: Launch, attach: bool) -> _socket.socket:
        """Start a monitor; the connection that it answers on."""


class ForkLauncher:
    """For a command that runs one container: the monitor is a fork of this process.

    Only in a process with one thread and no event loop.
    """

    def __init__(self, cache: str) -> None:
        self._cache = cache

    def forks(self) -> bool:
        return door.descriptor >= 0 or not ahead.waits()

    def launch(self, launch: Launch, attach: bool) -> _socket.socket:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        if self._hand_over(launch, attach, theirs):
            theirs.close()
            return ours
        from dockyard.node.runtime import alone, spare  # much, of which most commands need nothing

        if through("clone", os.fork) == 0:
            try:
                spare.detach(theirs.fileno())
                alone.carry_out(launch, attach, self._cache, theirs)
            finally:
                os._exit(1)
        theirs.close()
        return ours

    def _hand_over(self, launch: Launch, attach: bool, creator: _socket.socket) -> bool:
        """To the process that was forked ahead, if there is one and it lives."""
        if self.forks():  # one that waits would not record its calls
            return False
        from dockyard.node.runtime import launchmessage

        waiting = ahead.take()
        assert waiting is not None
        message = launchmessage.join(launchmessage.pack(launch, attach))
        payload = os.fsencode(self._cache) + b"\0" + message
        with contexts.closing(waiting), contexts.suppress(OSError):
            launchmessage.send(waiting, payload, creator)
            return True
        return False


class LaunchpadLauncher:
    """For a daemon: a launchpad forks the monitors. One that died is started again.

    Safe to call from several threads.
    """

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._lock = allocate_lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: _socket.socket | None = None

    def forks(self) -> bool:
        return False

    def start(self) -> None:
        """Start the launchpad now, so that the first container finds it warm."""
        with self._lock:
            self._connection()

    @property
    def pid(self) -> int:
        """Of the launchpad; 0 where none runs."""
        return self._process.pid if self._process else 0

    def launch(self, launch: Launch, attach: bool) -> _socket.socket:
        from dockyard.node.runtime import launchmessage

        payload = launchmessage.message(launch, attach, self._cache)
        for last in (False, True):
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
            try:
                with self._lock:
                    connection = self._connection()
                    launchmessage.send(connection, payload, theirs)
            except OSError as error:
                ours.close()
                self.close()
                if last:
                    raise Unavailable(f"launchpad: {error}") from error
                continue
            finally:
                theirs.close()
            return ours
        raise AssertionError("unreachable")

    def _connection(self) -> _socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._forget()
        if self._socket is None:
            import subprocess  # a command that forks its own monitor does without

            self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
            command = [sys.executable, "-I", "-S", "-c", _BOOT, _SOURCES, str(theirs.fileno()),
                       self._cache]  # fmt: skip
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
            theirs.close()
        return self._socket

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            import subprocess

            with contexts.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = None

    def close(self) -> None:
        """End the launchpad; monitors live on."""
        with self._lock:
            self._forget()

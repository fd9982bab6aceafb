"""Turns a command that is about to run a container into two processes, while it is small.

The other one loads what a monitor needs, as the command loads what it needs itself, and waits for
the launch. It carries nothing of the command's, and ends with it where no launch comes.
"""

from __future__ import annotations

import _socket  # `socket` costs a monitor 0.3 MB
import os
from _socket import socket as Plain

from dockyard.base.suppress import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


_PACK = f"{os.path.dirname(__file__)}/__pycache__/ahead.pack"
_waiting: Plain | None = None
_pid = 0


def fork() -> None:
    """Only in a process with one thread and no event loop, before it does anything else."""
    global _waiting, _pid
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    _pid = os.fork()
    if _pid == 0:
        ours.close()
        _wait(theirs)
    theirs.close()
    _waiting = ours


def waits() -> bool:
    """Whether there is one to take."""
    return _waiting is not None


def take() -> Plain | None:
    """The way to the one that waits, once: it takes ``cache folder, NUL, launch``."""
    global _waiting
    found, _waiting = _waiting, None
    return found


def drop() -> None:
    """It is not needed: it is gone when this returns."""
    if (found := take()) is not None:
        found.close()
        with suppress(ChildProcessError):
            os.waitpid(_pid, 0)


def _wait(control: Plain) -> NoReturn:
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # at once: who reads from the command shall see its end
            os.dup2(null, descriptor)
        from dockyard.base.pack import Pack

        pack = Pack(_PACK)
        pack.install()
        from dockyard.node.runtime import spare

        def ask() -> spare.Asked | None:
            from dockyard.node.runtime import launchmessage

            pack.keep()  # all is loaded, and the command still thinks
            received = launchmessage.receive(control)
            if received is None:
                return None
            control.close()
            payload, creator = received
            cache, _, packed = payload.partition(b"\0")
            return spare.Asked(os.fsdecode(cache), packed, creator)

        spare.detach(control.fileno())
        spare.part(ask, control.fileno(), settles=True, parted=pack.forget)
    finally:
        os._exit(0)

"""Turns a child's messages into one answer, started or not, without waiting for any of them.

A container can stop a process that joins it, or make a path hang: the monitor has to stay able to
kill it meanwhile.
"""

from __future__ import annotations

from dockyard.base.suppress import suppress
from dockyard.interfaces.startfailed import StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockyard.node.runtime.child import Child
    from dockyard.node.runtime.loop import Loop

    Done = Callable[[StartFailed | None], None]


class Handshake:
    """The way of one child from the fork (or from being built) to its program."""

    def __init__(
        self, child: Child, loop: Loop, filter_program: bytes | None, done: Done, *, built: bool
    ) -> None:
        self._child, self._loop, self._done = child, loop, done
        self._built, self._filter = built, filter_program
        loop.watch(child.sync.fileno(), read=self.advance, write=None)
        if built:
            with suppress(BrokenPipeError):  # it has ended: the end of the socket tells
                child.start(filter_program)

    def advance(self) -> None:
        """Take the next message. Also called when the child has ended: then there is one, or the
        end of the socket."""
        try:
            if not self._built:
                if self._child.take():
                    self._built = True
                    self._child.start(self._filter)
                return
            if not self._child.launched():
                return
        except StartFailed as error:
            self._finish(error)
        except (BrokenPipeError, ConnectionResetError):
            self._finish(StartFailed("container init: ended before it was started", 125))
        else:
            self._finish(None)

    def end(self) -> None:
        """The child has ended: whatever it has said is there by now."""
        while self._child.sync.fileno() >= 0:
            self.advance()

    def _finish(self, error: StartFailed | None) -> None:
        self._loop.forget(self._child.sync.fileno())
        self._child.sync.close()
        self._done(error)

"""Turns a program's output into its log and its clients' copies, and clients' input into its own.

Every buffer is bounded: while a client is more than ``MOST_PENDING`` behind, the program's pipe is
not read, as with Docker. A program that does not read its input holds its writer back, nobody else.
"""

from __future__ import annotations

import os

from dockyard.base.suppress import suppress
from dockyard.node.runtime import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NamedTuple as Record
    from typing import Protocol
else:
    from dockyard.base.record import Record

PIECE = 64 * 1024
MOST_PENDING = 1024 * 1024


class Streams(Record):
    """The monitor's ends of a child's standard streams; -1 is none."""

    stdin: int
    stdout: int
    stderr: int


if TYPE_CHECKING:  # a protocol is a large class, and each monitor would carry it

    class Watcher(Protocol):
        """The monitor's event loop."""

        def watch(self, descriptor: int, *, read: Callable[[], None] | None,
                  write: Callable[[], None] | None) -> None: ...  # fmt: skip

        def forget(self, descriptor: int) -> None: ...

    class Client(Protocol):
        """Somebody who wants the output."""

        def send(self, data: bytes) -> None: ...

        def pending(self) -> int: ...

        def refresh(self) -> None:
            """There is room for input again."""


class Session:
    """The standard streams of one process: a container's, or a command's in it."""

    def __init__(
        self,
        streams: Streams,
        terminal: bool,
        watcher: Watcher,
        log: Callable[[int, bytes], None] | None,
        held: int = -1,
    ) -> None:
        """``held``: the terminal's other side, so that it lasts while no program has it open: an
        init opens its console for each line that it writes."""
        self.clients: list[Client] = []
        self._streams, self._terminal = streams, terminal
        self._watcher, self._log, self._held = watcher, log, held
        self._input = bytearray()
        self._end_input = False
        self._outputs = {descriptor: number for number, descriptor in
                         ((1, streams.stdout), (2, streams.stderr)) if descriptor >= 0}  # fmt: skip
        self._stdin = streams.stdin
        for descriptor in {*self._outputs, *([self._stdin] if self._stdin >= 0 else [])}:
            os.set_blocking(descriptor, False)
        self.refresh()

    @property
    def ended(self) -> bool:
        """Whether all output has been read."""
        return not self._outputs

    @property
    def input_is_full(self) -> bool:
        """Whether writers should wait."""
        return len(self._input) > MOST_PENDING

    def refresh(self) -> None:
        """Watch what can make progress now."""
        held_back = any(client.pending() > MOST_PENDING for client in self.clients)
        wants_write = bool(self._input) or self._end_input
        for descriptor in self._outputs:
            read = None if held_back else lambda fd=descriptor: self._read(fd)
            write = self._write if descriptor == self._stdin and self._input else None
            self._watcher.watch(descriptor, read=read, write=write)
        if self._stdin >= 0 and self._stdin not in self._outputs:
            write = self._write if wants_write else None
            self._watcher.watch(self._stdin, read=None, write=write)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, PIECE)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last process on the terminal has gone (pty(7))
            data = b""
        if not data:
            self._end_output(descriptor)
            return
        self._pass_on(self._outputs[descriptor], data)
        self.refresh()

    def _pass_on(self, stream: int, data: bytes) -> None:
        if self._log is not None:
            self._log(stream, data)
        frame = wire.frame(stream, data)
        for client in list(self.clients):
            client.send(frame)

    def _end_output(self, descriptor: int) -> None:
        del self._outputs[descriptor]
        self._watcher.forget(descriptor)
        if descriptor == self._stdin:
            self._stdin = -1
        os.close(descriptor)

    def write(self, data: bytes) -> None:
        """Queue input. What comes after the end is dropped, as a closed pipe would."""
        if self._stdin >= 0 and not self._end_input:
            self._input += data
            self.refresh()

    def end_input(self) -> None:
        """No more input comes. A terminal stays open: its end of input is a character."""
        if self._stdin >= 0 and not self._terminal:
            self._end_input = True
            self.refresh()

    def _write(self) -> None:
        if self._input:
            try:
                written = os.write(self._stdin, self._input)
            except BlockingIOError:
                return
            except OSError:  # EPIPE: nobody reads it any more
                written = len(self._input)
                self._end_input = not self._terminal
            was_full = self.input_is_full
            del self._input[:written]
            if was_full and not self.input_is_full:
                for client in self.clients:
                    client.refresh()
        if self._end_input and not self._input:
            self._close_stdin()
        self.refresh()

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and self._stdin not in self._outputs:
            self._watcher.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1

    def drain(self) -> None:
        """The process has ended: take what is in its pipes now, whoever else may hold them."""
        for descriptor, stream in list(self._outputs.items()):
            while True:
                try:
                    data = os.read(descriptor, PIECE)
                except OSError:  # nothing left, or the terminal has gone
                    break
                if not data:
                    break
                self._pass_on(stream, data)
        self.close()

    def at_rest(self) -> tuple[int, int, int, int] | None:
        """Standard streams that are open, and the terminal's other side; None: somebody uses
        them, or input waits."""
        if self.clients or self._input or self._end_input:
            return None
        open_ = {number: descriptor for descriptor, number in self._outputs.items()}
        return self._stdin, open_.get(1, -1), open_.get(2, -1), self._held

    def terminal_descriptor(self) -> int:
        """The terminal's master, or -1."""
        return self._streams.stdout if self._terminal and self._outputs else -1

    def close(self) -> None:
        """Let go of every stream."""
        for descriptor in {*self._outputs, *([self._stdin] if self._stdin >= 0 else [])}:
            self._watcher.forget(descriptor)
            with suppress(OSError):
                os.close(descriptor)
        if self._held >= 0:
            os.close(self._held)
        self._outputs, self._stdin, self._held = {}, -1, -1

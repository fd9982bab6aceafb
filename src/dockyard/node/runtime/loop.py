"""Turns ready descriptors and signals into calls: the event loop of a process that stays small."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # not `signal`, whose enumerations cost each monitor memory
import os
import select

from dockyard.base.aio.now import pause

SECONDS_WITHOUT_MEMORY = 0.05

TYPE_CHECKING = False
if TYPE_CHECKING:  # its import is none of a monitor's
    from collections.abc import Callable, Iterable

    Callback = Callable[[], None]


def _nothing(*_: object) -> None:
    """The number is in the pipe."""


class Loop:
    """poll(2) and a pipe for signals; nothing else."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, tuple[Callback | None, Callback | None]] = {}
        self._signals: dict[int, Callback] = {}
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake, read=self._on_wake, write=None)
        _signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)

    def watch(self, descriptor: int, *, read: Callback | None, write: Callback | None) -> None:
        """Call back when it is ready; replaces what was asked for before."""
        events = (select.POLLIN if read else 0) | (select.POLLOUT if write else 0)
        if events:
            self._poll.register(descriptor, events)
        elif descriptor in self._handlers:
            self._poll.unregister(descriptor)
        if events:
            self._handlers[descriptor] = (read, write)
        else:
            self._handlers.pop(descriptor, None)

    def forget(self, descriptor: int) -> None:
        """Stop watching; unknown ones are fine."""
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def on_signal(self, numbers: Iterable[int], callback: Callback) -> None:
        """Call back, from the loop, after one of the signals."""
        for number in numbers:
            self._signals[number] = callback
            _signal.signal(number, _nothing)

    def turn(self, seconds: float | None) -> bool:
        """Wait for something and handle it; False when nothing came in that time."""
        ready = self._poll.poll(None if seconds is None else seconds * 1000)
        for descriptor, events in ready:
            read, write = self._handlers.get(descriptor, (None, None))
            try:
                if read and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    read()
                _, write = self._handlers.get(descriptor, (None, None))
                if write and events & (select.POLLOUT | select.POLLERR):
                    write()
            except MemoryError:  # it is as ready as before: tried again, but not at once
                pause(SECONDS_WITHOUT_MEMORY)
        return bool(ready)

    def _on_wake(self) -> None:
        for number in set(os.read(self._wake, 4096)):
            if number in self._signals:
                self._signals[number]()

    def close(self) -> None:
        """Let go of the pipe; before a fork's child goes its own way."""
        _signal.set_wakeup_fd(-1)
        os.close(self._wake)
        os.close(self._woken)

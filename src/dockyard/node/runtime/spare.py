"""Turns one process into two that wait for a launch: a monitor-to-be, and who makes its container.

The maker gets the launch and makes the container, whose init is the monitor's child; then it ends,
and with it whatever making has loaded, opened and touched. The monitor has only waited meanwhile.
A container that another runtime makes is its monitor's own affair: that gets the launch.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # not `signal` and `socket`, whose enumerations cost each monitor 0.2 MB
import _socket
import gc
import os
from _socket import socket as Plain

from dockyard.base.aio.now import pause
from dockyard.base.linux import door, oomscore, processors, signals, syscalls
from dockyard.base.linux.door import through
from dockyard.base.typed import NamedTuple
from dockyard.node.runtime import made, monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[], "Asked | None"]
    """Waits for a launch; None: none will come."""


class Asked(NamedTuple):
    """A launch that has come."""

    cache: str
    message: bytes
    """See :mod:`.launchmessage`."""
    creator: Plain
    """Where the answer goes."""
    taken: Callable[[], object] = bool
    """Tells whoever has forked this process ahead."""


IGNORED = tuple(
    map(int, (signals.SIGINT, signals.SIGTERM, signals.SIGHUP, signals.SIGQUIT, signals.SIGPIPE))
)


def prepare() -> None:
    """What a monitor has of whoever forks it: that nobody may look into it, no streams, no folder,
    and what signals do."""
    through("chdir", os.chdir, "/")
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    for number in IGNORED:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def detach(*kept: int) -> None:
    """All of it for a fork of something else, whose descriptors are closed, but for these."""
    gc.disable()
    through("setsid", os.setsid)
    prepare()
    if door.descriptor >= 0:
        kept = (*kept, door.descriptor)
    first = 3
    for descriptor in sorted(kept):
        if descriptor > first:
            syscalls.close_range(first, descriptor - 1)
        first = descriptor + 1
    syscalls.close_range(first)


def part(
    ask: Ask, *makers: int, settles: bool = False, parted: Callable[[], None] | None = None
) -> None:
    """Be both: ``ask`` is called in the maker, and this returns in the monitor, after the
    container's end. ``makers``: descriptors that the monitor lets go of. ``settles``: whether that
    becomes a smaller process (:mod:`.settled`). ``parted`` is called in the monitor at once."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    above = os.getpid()
    if os.fork() == 0:
        try:
            ours.close()
            _make(ask, theirs, above)
        finally:
            os._exit(0)
    theirs.close()
    for descriptor in makers:
        os.close(descriptor)
    if parted is not None:
        parted()
    found = made.take(ours)
    if found is None:
        return
    if isinstance(found[0], made.Made):
        monitor.look_after(*found, lambda: _take_rest(ours), settles=settles)
    else:
        from dockyard.node.runtime import alone, launchmessage

        packed, creator = found
        alone.carry_out(*launchmessage.unpack(packed), "", Plain(fileno=creator))


def _take_rest(way: Plain) -> made.Rest | None:
    found = made.take_rest(way)
    way.close()
    return found


def _make(ask: Ask, way: Plain, above: int) -> None:
    from dockyard.node.runtime import launchmessage, maker, newborn, rehearsal

    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signals.SIGKILL)
    if os.getppid() != above:  # it died before
        return
    oomscore.ordinary()  # what it makes is a container
    child = newborn.born()
    rehearsal.make_nothing()
    asked = ask()
    if asked is None:
        return
    whole, short = launchmessage.split(asked.message)
    if child is not None:
        child.tell(launchmessage.join(b"" if short else whole, short))
    asked.taken()
    try:
        if not short and launchmessage.unpack(whole)[0].runtime:
            made.pass_on(way, whole, asked.creator)
            return
        order = launchmessage.order(whole, short)
        maker.Maker(order.launch, asked.cache, child, order, whole).make_for(
            way, order.attach, asked.creator
        )
        processors.stand_back()
        pause(processors.LATER)
    except BaseException as error:  # whatever it is: the creator must hear of it
        maker.refuse(asked.creator, error)

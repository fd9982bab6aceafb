"""Turns a maker's waiting into a process in namespaces of its own, before anybody has asked.

Whatever most containers have alike is made ahead: the fork as the first process of a new pid
namespace, and empty network, ipc and uts namespaces. The mount namespace is not: it would show the
host as it was then. A container that wants something else is forked as ever.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
from _socket import socket as Plain

from dockyard.base import contexts
from dockyard.base.linux import (
    loopback,
    passing,
    processes,
    processors,
    samememory,
    signals,
    syscalls,
)
from dockyard.base.linux.overlay import FUSE
from dockyard.base.oci.runtimespec import Spec
from dockyard.interfaces.ociruntime import Launch
from dockyard.node.runtime import furnishing, init, launchmessage, parts, rehearsal
from dockyard.node.runtime.child import enter_pid_namespace
from dockyard.node.runtime.messages import FILTER, FLAGS, GO, LONGEST_MESSAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


KINDS = ("network", "ipc", "uts")
BORN = sum(FLAGS[kind] for kind in KINDS)
LARGEST = 128 * 1024
"""Of a launch: what a seqpacket socket takes at once."""
STREAMS = 3
_PID = struct.Struct("=i")


class Newborn:
    """A sibling of who makes the container, and so a child of the monitor-to-be. It ends with its
    socket, and with its monitor."""

    def __init__(self) -> None:
        """Needs every right of root."""
        self._told, self._usable = False, frozenset[int]()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        keeper = processes.clone3(processes.CLONE_PARENT).pid
        if keeper == 0:
            _begin(theirs)
        theirs.close()
        self.sync = ours
        self.pid = self._met(keeper)
        with contexts.suppress(OSError):  # once more, it is twice as fast
            self._usable = processors.part(self.pid)
            self.rejoin()

    def _met(self, keeper: int) -> int:
        """Its pid. It gets a socket that it alone has: the end of that is its own."""
        with contexts.closing(self.sync) as way:
            self.sync, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            passing.send(way, GO, [theirs.fileno()])
            theirs.close()
            said = way.recv(_PID.size)
            if len(said) < _PID.size:
                raise OSError(errno.EPERM, "newborn: it could not begin")
            processors.stand_back(keeper)  # not before: what it starts would have to as well
            return int(_PID.unpack(said)[0])

    def tell(self, message: bytes) -> None:
        """The launch, as soon as it is known: it builds while its control group is made."""
        if len(message) <= LARGEST:
            with contexts.suppress(OSError):
                self._usable = processors.part(self.pid)
                self.sync.send(message)
                self._told = True

    def suits(self, launch: Launch, spec: Spec) -> bool:
        """Whether it is what this specification's container begins with."""
        return self._told and _suits(launch, spec)

    def go(self, stdio: init.Stdio) -> None:
        """Its control group is there, and it may go on."""
        with contexts.suppress(OSError):  # it has ended, and said why
            passing.send(self.sync, GO, list(stdio))

    def confine(self, filter_program: bytes | None) -> None:
        """What it gives up its rights with, before it is started: see :func:`..init.early`."""
        with contexts.suppress(OSError):  # it has ended, and said why
            self.sync.send(FILTER + (filter_program or b""))

    def rejoin(self) -> None:
        """Whoever made it is going to start others, which may run wherever they want."""
        with contexts.suppress(OSError):
            processors.rejoin(self._usable)

    def end(self) -> None:
        """It is not needed."""
        self.rejoin()
        self.sync.close()
        with contexts.suppress(ProcessLookupError):
            os.kill(self.pid, signals.SIGKILL)


def born() -> Newborn | None:
    """One, or None where this process may not make any."""
    with contexts.suppress(OSError):
        return Newborn()
    return None


def _suits(launch: Launch, spec: Spec) -> bool:
    """What another process makes, or serves the root of, is not this one's."""
    if launch.runtime or (launch.rootfs is not None and launch.rootfs.driver == FUSE):
        return False
    fresh = all(kind in spec.namespaces and not spec.namespaces[kind] for kind in KINDS)
    own = "pid" in spec.namespaces and not spec.namespaces["pid"]
    copies = any(mount.options.copy_up for mount in spec.mounts)  # into the keeper's group
    return fresh and own and not copies and not init.staged(spec)


def _begin(way: _socket.socket) -> NoReturn:
    try:
        kept = way.fileno()
        if kept > STREAMS:
            syscalls.close_range(STREAMS, kept - 1)
        syscalls.close_range(kept + 1)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signals.SIGKILL)  # it stays a little longer
        enter_pid_namespace(None)
        pid = samememory.part()
        _, (sync,) = passing.receive(way, len(GO), 1)
        way.send(_PID.pack(pid))
        way.close()
        _wait(_socket.socket(fileno=sync))
    finally:
        os._exit(1)


def _wait(sync: _socket.socket) -> NoReturn:
    try:
        syscalls.unshare(BORN)
        loopback.turn_on()
        ready = furnishing.make()
        _choose(rehearsal.nothing(), ready)  # once more, it is twice as fast
        if (message := sync.recv(LARGEST)) and (birth := _choose(message, ready)):
            init.become_init(birth, sync)
    finally:
        os._exit(1)


def _choose(message: bytes, ready: dict[str, parts.Made]) -> init.Birth | None:
    launch, spec, *_ = launchmessage.order(*launchmessage.split(message))
    if not _suits(launch, spec):
        return None
    return init.Birth(
        launch.id, spec, launch.rootfs, _grouped, bundle=launch.state_dir, born=BORN,
        filter=_take_filter if init.early(spec) else None, ahead=parts.choose(spec, ready),
    )  # fmt: skip


def _grouped(sync: Plain) -> init.Stdio:
    """Wait for the control group; the streams come then."""
    said, stdio = passing.receive(sync, len(GO), STREAMS)
    if said != GO or len(stdio) != STREAMS:
        os._exit(1)
    return stdio[0], stdio[1], stdio[2]


def _take_filter(sync: Plain) -> bytes | None:
    message = sync.recv(LONGEST_MESSAGE)
    if not message.startswith(FILTER):
        os._exit(1)
    return message[len(FILTER) :] or None

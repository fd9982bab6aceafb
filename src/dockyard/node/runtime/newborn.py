"""Turns a maker's waiting into a process in namespaces of its own, before anybody has asked.

Whatever most containers have alike is made ahead: the fork as the first process of a new pid
namespace, and empty network, ipc and uts namespaces. The mount namespace is not: it would show the
host as it was then. A container that wants something else is forked as ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import NoReturn

from dockyard.base.linux import passing, processes, syscalls
from dockyard.base.oci import runtimespec
from dockyard.base.oci.runtimespec import Spec
from dockyard.node.runtime import init
from dockyard.node.runtime.child import enter_pid_namespace
from dockyard.node.runtime.launchmessage import unpack
from dockyard.node.runtime.messages import FLAGS, GO

KINDS = ("network", "ipc", "uts")
BORN = sum(FLAGS[kind] for kind in KINDS)
LARGEST = 128 * 1024
"""Of a launch: what a seqpacket socket takes at once."""
STREAMS = 3


class Newborn:
    """A sibling of who makes the container, and so a child of the monitor-to-be. It ends with its
    socket, and with its monitor."""

    def __init__(self) -> None:
        """Needs every right of root."""
        self._told = False
        enter_pid_namespace(None)
        self.sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = processes.clone3(processes.CLONE_PARENT).pid
        if self.pid == 0:
            _wait(theirs)
        theirs.close()

    def tell(self, packed: bytes) -> None:
        """The launch, as soon as it is known: it prepares itself while the monitor does."""
        if len(packed) <= LARGEST:
            with contextlib.suppress(OSError):
                self.sync.send(packed)
                self._told = True

    def suits(self, spec: Spec) -> bool:
        """Whether it is what this specification's container begins with."""
        fresh = all(kind in spec.namespaces and not spec.namespaces[kind] for kind in KINDS)
        own = "pid" in spec.namespaces and not spec.namespaces["pid"]
        return self._told and fresh and own and not init.staged(spec)

    def go(self, stdio: init.Stdio) -> None:
        """Its control group is there: it becomes the container's first process."""
        passing.send(self.sync, GO, list(stdio))

    def end(self) -> None:
        """It is not needed. Children of this process are born in its own pid namespace again."""
        self.sync.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        enter_pid_namespace("/proc/self/ns/pid")


def born() -> Newborn | None:
    """One, or None where this process may not make any."""
    with contextlib.suppress(OSError):
        return Newborn()
    return None


def _wait(sync: socket.socket) -> NoReturn:
    try:
        kept = sync.fileno()
        if kept > STREAMS:
            syscalls.close_range(STREAMS, kept - 1)
        syscalls.close_range(kept + 1)
        syscalls.unshare(BORN)
        if packed := sync.recv(LARGEST):
            launch, _ = unpack(packed)
            spec = runtimespec.parse(launch.spec)
            said, stdio = passing.receive(sync, len(GO), STREAMS)
            if said == GO and len(stdio) == STREAMS:
                streams = (stdio[0], stdio[1], stdio[2])
                birth = init.Birth(launch.id, spec, launch.rootfs, streams,
                                   bundle=launch.state_dir, born=BORN)  # fmt: skip
                init.become_init(birth, sync)
    finally:
        os._exit(1)

"""Turns what every monitor does into something that the process it is forked from has done before.

The interpreter keeps what it learns where it has its objects: which type has which attribute,
which instruction meets which types. What a launchpad has learned, no monitor writes into a copy of
a page: that is 0.3 MB of each.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # see :mod:`.spare`
import _socket
import os
from _socket import socket as Plain

from dockyard.base import contexts
from dockyard.base.errors import DockyardError
from dockyard.base.oci.defaultspec import default_spec
from dockyard.interfaces.ociruntime import Launch, Log, Overlay
from dockyard.node.runtime import hooks, init, launchmessage, made, maker, monitor, wire
from dockyard.node.runtime.cgroups import group, limits
from dockyard.node.runtime.child import Child
from dockyard.node.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack


TIMES = 12
"""CPython 3.11 specializes a function's code after the eighth time."""
NOWHERE = "/proc/self/fd/none"
SECONDS = 1.0


def rehearse() -> None:
    """Look after containers that do not exist. Signals have to be set anew after it."""
    with contexts.suppress(OSError):  # short of descriptors: monitors are larger, no worse
        for _ in range(TIMES):
            _look_after()
    nothing(read=True)
    make_nothing(TIMES)


_nothing = b""


def nothing(*, read: bool = False) -> bytes:
    """A message of a launch that nobody carries out, always the same: one that was read ahead, as
    a launchpad's are, where the first who asks says so."""
    global _nothing
    if not _nothing:
        launch = _launch()
        _nothing = (
            launchmessage.message(launch, False, NOWHERE) if read
            else launchmessage.join(launchmessage.pack(launch, False))
        )  # fmt: skip
    return _nothing


def _launch() -> Launch:
    document = default_spec(args=["none"], env=[], cwd="/", root=NOWHERE, cgroup="none")
    del document["linux"]["seccomp"]  # its filter would have to be made
    overlay = Overlay((NOWHERE,), NOWHERE, NOWHERE)
    return Launch("none", document, NOWHERE, NOWHERE, overlay)


def make_nothing(times: int = 1) -> None:
    """Take a launch and decide what its container needs, as a maker does: 0.6 ms less then, if the
    launchpad has done it often and the maker once."""
    with contexts.suppress(DockyardError, OSError):  # a machine without control groups
        for _ in range(times):
            whole, short = launchmessage.split(nothing())
            order = launchmessage.order(whole, short)
            making = maker.Maker(order.launch, NOWHERE, None, order, whole)
            spec = making.spec
            init.check_rights(spec)
            hooks.identity(order.launch.id, order.launch.state_dir, spec)
            making.child = Child(False, False, "none")
            group.check_free(spec.cgroup)
            limits.need_v2(spec.resources)
            limits.plan(spec.cgroup, spec.resources, {})
            making._made(making.child, False)
            making.child.abandon()


def _look_after() -> None:
    from contextlib import ExitStack  # not for a maker that rehearses once

    with ExitStack() as stack:
        ours, theirs = _pair(_socket.SOCK_STREAM, stack)
        sync, init = _pair(_socket.SOCK_SEQPACKET, stack)
        creator, asked = _pair(_socket.SOCK_STREAM, stack)
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        listener.bind("")  # a name that the kernel chooses: unix(7), "Autobind feature"
        address = listener.getsockname()
        out, written = os.pipe()
        err, silent = os.pipe()
        stack.callback(os.close, written)
        stack.callback(os.close, silent)
        what = _made()
        made.give(theirs, what, made.Held(listener.detach(), Streams(-1, out, err)))
        made.give_rest(theirs, made.Rest(sync.detach(), asked.detach()))
        taken = made.take(ours)
        if taken is None or not isinstance(taken[0], made.Made):
            return
        found = monitor.Monitor(*taken)
        rest = made.take_rest(ours)
        if rest is None:
            return
        found.begin(rest)
        turn = found.loop.turn
        os.kill(os.getpid(), _signal.SIGCHLD)
        turn(SECONDS)
        creator.recv(100)
        _ask(address, "start", turn, init)
        _ask(address, "state", turn)
        os.write(written, b"a line\n")
        turn(SECONDS)
        with contexts.closing(Plain(_socket.AF_UNIX, _socket.SOCK_STREAM)) as client:
            client.connect(address)
            client.sendall(wire.control({"op": "wait"}))
            turn(SECONDS)
            turn(SECONDS)
            with contexts.suppress(OSError):  # there is no folder for it
                found._ended(0)
            found._finish()
            client.recv(1000)
        turn(SECONDS)
        found._close_listener()
        found.loop.close()


def _pair(kind: int, stack: ExitStack) -> tuple[Plain, Plain]:
    one, other = _socket.socketpair(_socket.AF_UNIX, kind)
    stack.enter_context(contexts.closing(one))
    stack.enter_context(contexts.closing(other))
    return one, other


def _ask(address: str, operation: str, turn: Callable[[float], bool], *init: Plain) -> None:
    with contexts.closing(Plain(_socket.AF_UNIX, _socket.SOCK_STREAM)) as client:
        client.connect(address)
        client.sendall(wire.control({"op": operation}))
        turn(SECONDS)  # it is accepted
        turn(SECONDS)  # and answered, or init is told to start
        for each in init:
            each.recv(100)
            each.close()  # as it does by its exec
            turn(SECONDS)
        client.recv(1000)
    turn(SECONDS)  # it has gone


def _made() -> made.Made:
    pid = os.getpid()
    return made.Made(
        id="rehearsal", run_dir=NOWHERE, state_dir=NOWHERE, program="none", pid=pid,
        terminal=False, stdin_once=False, cgroup="", freezer=os.devnull,
        oom=os.devnull, groups=((NOWHERE, ""),), home="", doors=(), tree="",
        namespaces=0, own_pids=False, staged=False, filter=None, early=True,
        log=(*Log(os.devnull, "json-file"),),
        on_exit=(), hooks=(), health=False, answer=wire.control({"pid": pid}), attach=False,
        rest=b"",
    )  # fmt: skip

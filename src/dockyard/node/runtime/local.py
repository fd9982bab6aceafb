"""Turns the runtime's interface into monitors: forked here, or by a launchpad."""

from __future__ import annotations

import _socket
import os

from dockyard.base import contexts, jsontext
from dockyard.base.errors import Conflict, Unavailable
from dockyard.base.later import Later
from dockyard.base.linux import signals
from dockyard.interfaces.ociruntime import Exit, Launch, StartFailed, State, Usage
from dockyard.node.runtime import stream, wire
from dockyard.node.runtime.launcher import Launcher
from dockyard.node.runtime.stream import MonitorStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from dockyard.node.runtime.cgroups import group
else:  # who asks, executes or attaches needs none of it
    group = Later("dockyard.node.runtime.cgroups", "group")

STOPPED = State("stopped", 0)
ANSWER_SECONDS = 10.0
"""A monitor answers what it knows at once."""
AT_ONCE = 64
"""Monitors that are asked before the first answer is read."""
GROUPS = "/sys/fs/cgroup"
_STATE = wire.control({"op": "state"})


class LocalRuntime:
    """Our own runtime. Safe to call from several threads where the launcher is."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def forks(self) -> bool:
        return self._launcher.forks()

    def create(self, launch: Launch, *, attach: bool = False) -> tuple[int, MonitorStream | None]:
        if self.state(launch.run_dir).status != "stopped":
            raise Conflict(f"container: {launch.id}: it exists already")
        wait_for_monitor(launch.run_dir)
        _run_poststop(launch.run_dir)
        os.makedirs(launch.run_dir, 0o700, exist_ok=True)
        with contexts.suppress(FileNotFoundError):
            os.unlink(wire.socket_path(launch.run_dir))
        with contexts.suppress(FileNotFoundError):
            os.unlink(wire.exit_path(launch.state_dir))
        peer = self._launcher.launch(launch, attach)
        try:
            pid = int(stream.answer(peer)["pid"])
        except BaseException:
            peer.close()
            _remove_run_dir(launch.run_dir)
            raise
        if attach:
            return pid, MonitorStream(peer)
        peer.close()
        return pid, None

    def start(self, run_dir: str) -> None:
        with contexts.closing(stream.connect(run_dir)) as peer:
            stream.ask(peer, op="start")

    def state(self, run_dir: str) -> State:
        found = _told(_asked(run_dir))
        if found is None:
            raise Unavailable(f"monitor: {run_dir}: it does not answer")
        return found

    def states_of(self, run_dirs: Sequence[str]) -> list[State | None]:
        found: list[State | None] = []
        for first in range(0, len(run_dirs), AT_ONCE):
            asked = [_asked(run_dir) for run_dir in run_dirs[first : first + AT_ONCE]]
            found += [_told(peer) for peer in asked]
        return found

    def attach(self, run_dir: str) -> MonitorStream:
        peer = stream.connect(run_dir)
        stream.ask(peer, op="attach")
        return MonitorStream(peer)

    def exec(
        self, run_dir: str, process: Mapping[str, Any], *, stdin: bool, detach: bool = False
    ) -> MonitorStream:
        peer = stream.connect(run_dir)
        try:
            stream.ask(peer, op="exec", process=process, stdin=stdin, detach=detach)
        except BaseException:
            peer.close()
            raise
        return MonitorStream(peer)

    def signal(self, run_dir: str, number: int, *, everyone: bool = False) -> None:
        with contexts.closing(stream.connect(run_dir)) as peer:
            stream.ask(peer, op="signal", number=number, everyone=everyone)

    def resize(self, run_dir: str, rows: int, columns: int) -> None:
        with contexts.closing(stream.connect(run_dir)) as peer:
            MonitorStream(peer).resize(rows, columns)

    def wait(self, run_dir: str, state_dir: str, seconds: float | None) -> Exit | None:
        try:
            peer = stream.connect(run_dir)
        except Unavailable:
            return self.exit(state_dir)
        with contexts.closing(peer):
            peer.settimeout(seconds)
            try:
                said = stream.ask(peer, op="wait")
            except (TimeoutError, BlockingIOError):  # the latter after no time at all
                return None
            except (Unavailable, ConnectionError):
                return self.exit(state_dir)
        return Exit(int(said["exit"]), bool(said["oom_killed"]), float(said["finished"]))

    def exit(self, state_dir: str) -> Exit | None:
        """How the container ended, as its monitor wrote it; None where it wrote nothing."""
        try:
            with open(wire.exit_path(state_dir)) as file:
                said = jsontext.loads(file.read())
        except FileNotFoundError:
            return None
        return Exit(int(said["exit"]), bool(said["oom_killed"]), float(said["finished"]))

    def reopen_log(self, run_dir: str) -> None:
        with contexts.closing(stream.connect(run_dir)) as peer:
            stream.ask(peer, op="reopen-log")

    def watch(self, run_dir: str, on_exit: tuple[str, ...]) -> None:
        with contexts.closing(stream.connect(run_dir)) as peer:
            try:
                stream.ask(peer, op="watch", on_exit=on_exit)
            except ConnectionError:  # it is about to end
                raise Unavailable(f"monitor: {run_dir}: it ended before it answered") from None

    def update(self, cgroup: str, resources: Mapping[str, Any]) -> None:
        group.update(cgroup, resources)

    def usage(self, cgroup: str) -> Usage:
        from dockyard.node.runtime.cgroups import usage

        return usage.read(cgroup)

    def processes(self, cgroup: str) -> list[int]:
        return group.pids(cgroup)

    def pause(self, cgroup: str) -> None:
        group.freeze(cgroup, True)

    def resume(self, cgroup: str) -> None:
        group.freeze(cgroup, False)

    def delete(self, run_dir: str, cgroup: str, tree: str = "") -> None:
        with contexts.suppress(Unavailable):  # a monitor that hangs ends with its container
            state = self.state(run_dir)
            if state.pid:
                # by its parent: to anybody else the pid may be a stranger's by now
                with contexts.suppress(StartFailed, ConnectionError):  # it has just ended
                    self.signal(run_dir, signals.SIGKILL)
                if state.status == "paused":
                    group.freeze(cgroup, False)
                wait_for_monitor(run_dir)
        if not _is_gone(cgroup):
            group.remove(cgroup)
        if tree:
            from dockyard.node.runtime import hosttree  # most containers have none

            hosttree.remove(os.path.realpath(tree))
        _run_poststop(run_dir)
        _remove_run_dir(run_dir)


def _is_gone(cgroup: str) -> bool:
    """Whether the monitor has removed the group, as it does: what would is not loaded then.

    Of root's own groups, named by a path; about others nothing is said.
    """
    path = cgroup.strip("/")
    if os.geteuid() != 0 or not path or ":" in path or not os.path.ismount(GROUPS):
        return False  # elsewhere, the table of mounts says where
    places = [f"{GROUPS}/{path}", *(f"{GROUPS}/{name}/{path}" for name in os.listdir(GROUPS))]
    return not any(os.path.lexists(place) for place in places)


def _asked(run_dir: str) -> _socket.socket | None:
    """A connection on which the state is asked for; None: there is no monitor."""
    try:
        peer = stream.connect(run_dir)
    except Unavailable:
        return None
    peer.settimeout(ANSWER_SECONDS)
    with contexts.suppress(OSError):  # what it is, reading will tell
        peer.sendall(_STATE)
    return peer


def _told(peer: _socket.socket | None) -> State | None:
    """The answer; None where there is none in time."""
    if peer is None:
        return STOPPED
    with contexts.closing(peer):
        try:
            said = stream.answer(peer)
        except TimeoutError:
            return None
        except (Unavailable, ConnectionError):
            return STOPPED
    return State(said["status"], int(said["pid"]), float(said["started"]))


def wait_for_monitor(run_dir: str) -> None:
    """Until the container has ended and its monitor cleaned up: then its socket is gone."""
    with contexts.suppress(Unavailable, OSError):
        while True:
            with contexts.closing(stream.connect(run_dir)) as peer:
                peer.settimeout(ANSWER_SECONDS)
                stream.ask(peer, op="wait")
                if not peer.recv(1):
                    return


def _run_poststop(run_dir: str) -> None:
    """What its monitor could not do: it was killed."""
    if os.path.exists(wire.poststop_path(run_dir)):
        from dockyard.node.runtime import afterwards  # few containers have hooks

        afterwards.run(run_dir)


def _remove_run_dir(run_dir: str) -> None:
    with contexts.suppress(FileNotFoundError):
        os.unlink(wire.socket_path(run_dir))
    with contexts.suppress(FileNotFoundError):
        os.rmdir(run_dir)

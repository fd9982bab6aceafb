"""G12: no descriptors, processes or memory left in a monitor or a launchpad. What runs goes on,
nobody spins, and it recovers alone."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from dockyard.base.errors import DockyardError, Unavailable
from dockyard.base.linux import cgroupfs
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime import connection, stream, wire
from dockyard.node.runtime.cgroups import tree
from dockyard.node.runtime.launcher import LaunchpadLauncher
from dockyard.node.runtime.local import LocalRuntime
from dockyard.node.runtime.loop import Loop
from helpers.program import eventually

from .conftest import Box, Yard
from .test_kills import monitor_of

pytestmark = pytest.mark.root

COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def quiet_files(pid: int) -> int:
    """How many it has open without clients: sockets and pipes of those that have left are closed
    when it has seen their end, so that nothing but its listener, streams and log is left."""
    counts: list[int] = []
    eventually(lambda: counts.append(open_files(pid)) or counts[-5:] == [counts[-1]] * 5)
    return counts[-1]


@contextmanager
def at_most(pid: int, kind: int, most: int) -> Iterator[None]:
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (most, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # a launchpad may have ended for it
            resource.prlimit(pid, kind, before)


def lines(box: Box) -> int:
    assert box.launch.log
    return Path(box.launch.log.path).read_text().count("\n")


def test_g12_a_monitor_without_descriptors_for_its_clients(yard: Yard) -> None:
    box = yard.sh(COUNT).start()
    eventually(lambda: lines(box) > 2)
    monitor = monitor_of(box)
    before = quiet_files(monitor)
    with at_most(monitor, resource.RLIMIT_NOFILE, before + 5), ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(contextlib.closing(stream.connect(box.run_dir)))
        eventually(lambda: open_files(monitor) >= before + 4)
        said = lines(box)
        eventually(lambda: lines(box) > said + 20)  # what runs goes on
        assert open_files(monitor) <= before + 5
    assert box.runtime.state(box.run_dir).status == "running"
    assert box.exec("echo", "here").out == "here\n"
    eventually(lambda: open_files(monitor) <= before)


def test_g12_no_room_for_a_client_is_no_reason_to_spin(tmp_path: Path) -> None:
    clients: list[object] = []
    path, loop = str(tmp_path / "socket"), Loop()
    listener = connection.Listener(
        connection.bind(path).detach(), loop, clients.append, os.geteuid()
    )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(path)
            free = os.dup(0)
            os.close(free)
            with at_most(os.getpid(), resource.RLIMIT_NOFILE, free):
                assert loop.turn(0)  # it has tried
                assert not loop.turn(0)  # and does not try again at once
                assert listener.deaf_until > 0
            listener.listen()
            assert loop.turn(0)
            assert len(clients) == 1
    finally:
        listener.close()
        loop.close()


@pytest.mark.parametrize("more", range(1, 14, 2))
def test_g12_a_command_without_descriptors_leaves_none_behind(yard: Yard, more: int) -> None:
    box = yard.sh("while :; do sleep 1; done").start()
    assert box.exec("true").code == 0  # what a first one opens stays
    monitor = monitor_of(box)
    before = quiet_files(monitor)
    with at_most(monitor, resource.RLIMIT_NOFILE, before + more):
        for _ in range(5):
            try:
                done = box.exec("echo", "here")  # its own limit is as low
                assert done.code != 0 or done.out == "here\n"
            except (StartFailed, Unavailable, ConnectionError) as error:
                assert str(error)
    assert box.runtime.state(box.run_dir).status == "running"
    assert box.exec("echo", "here").out == "here\n"
    eventually(lambda: open_files(monitor) <= before)


def test_g12_a_command_without_a_process(yard: Yard) -> None:
    box = yard.sh("while :; do sleep 1; done").start()
    assert box.exec("true").code == 0
    monitor = monitor_of(box)
    path, layout = f"dockyard/{yard.instance}/few", cgroupfs.layout()
    if layout.pure:
        tree.make_v2(path)
    else:
        tree.make_v1(layout.v1["pids"], path)
    folder = Path(cgroupfs.folder("pids", path))
    try:
        (folder / "pids.max").write_text("1")
        (folder / "cgroup.procs").write_text(str(monitor))
        with pytest.raises(StartFailed, match="Resource temporarily unavailable"):
            box.exec("true")
        (folder / "pids.max").write_text("max")
        assert box.exec("echo", "here").out == "here\n"
    finally:
        (folder.parent / "cgroup.procs").write_text(str(monitor))
        tree.remove(path, 5.0)


def test_g12_a_monitor_without_memory_lets_the_client_go(yard: Yard) -> None:
    box = yard.sh(COUNT).start()
    monitor = monitor_of(box)
    [size] = [
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{monitor}/status").read_text().splitlines()
        if line.startswith("VmSize:")
    ]
    with at_most(monitor, resource.RLIMIT_AS, size + (4 << 20)):
        for _ in range(3):
            with contextlib.closing(stream.connect(box.run_dir)) as peer:
                peer.settimeout(20)
                frame = struct.pack(">BI", wire.CONTROL, wire.LONGEST) + b" " * wire.LONGEST
                with pytest.raises((ConnectionError, socket.timeout)):
                    peer.sendall(frame)
                    assert peer.recv(1) == b""
                    raise ConnectionResetError
        said = lines(box)
        eventually(lambda: lines(box) > said + 5)
    assert box.exec("echo", "here").out == "here\n"
    assert not (Path(box.state_dir) / "monitor.error").exists()


def test_g12_a_launchpad_without_descriptors(yard: Yard, tmp_path: Path) -> None:
    pad = LaunchpadLauncher(str(tmp_path / "pad"))
    try:
        pad.start()
        yard.runtime = LocalRuntime(pad)
        runs = yard.sh("while :; do sleep 1; done").start()
        with at_most(pad.pid, resource.RLIMIT_NOFILE, 4):
            for _ in range(3):  # the spare that waits may have more
                box = yard.sh("true")
                try:
                    assert box.run().code == 0
                except (DockyardError, ConnectionError, OSError) as error:
                    assert str(error)
        assert runs.runtime.state(runs.run_dir).status == "running"
        assert yard.sh("echo here").run().out == "here\n"
        for box in yard.boxes:
            box.delete()
            assert box.groups() == []
    finally:
        pad.close()

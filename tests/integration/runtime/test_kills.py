"""What is killed with -9, and what goes on: monitors, launchpads, inits."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockyard.interfaces.ociruntime import Log, StartFailed
from dockyard.node.runtime import launchmessage, stream
from dockyard.node.runtime.launcher import LaunchpadLauncher
from dockyard.node.runtime.local import LocalRuntime

from .conftest import Box, Yard

pytestmark = pytest.mark.root


def monitor_of(box: Box) -> int:
    """The pid at the other end of the monitor's socket (SO_PEERCRED)."""
    peer = stream.connect(box.run_dir)
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    peer.close()
    return int(struct.unpack("3i", credentials)[0])


def ends(pid: int, seconds: float = 5) -> bool:
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


def test_a_killed_monitor_takes_its_container_along(yard: Yard) -> None:
    box = yard.sh("sleep 60 & sleep 61").start()
    os.kill(monitor_of(box), signal.SIGKILL)
    assert ends(box.pid)
    assert box.runtime.state(box.run_dir).status == "stopped"
    assert box.runtime.exit(box.state_dir) is None
    assert box.runtime.wait(box.run_dir, box.state_dir, 1) is None
    box.delete()
    assert box.groups() == []
    assert box.start().exec("true").code == 0


def test_a_killed_monitor_before_the_start(yard: Yard) -> None:
    box = yard.box("sleep", "60").create()
    os.kill(monitor_of(box), signal.SIGKILL)
    assert ends(box.pid)
    box.delete()
    assert box.groups() == []


def test_a_killed_init_is_an_exit(yard: Yard) -> None:
    box = yard.sh("sleep 60 & sleep 61").start()
    os.kill(box.pid, signal.SIGKILL)
    assert box.wait().code == 137


def test_a_killed_launchpad(yard: Yard, tmp_path: Path) -> None:
    pad = LaunchpadLauncher(str(tmp_path / "cache"))
    yard.runtime = LocalRuntime(pad)
    old = yard.sh("read x; echo said $x; exit 3", open_stdin=True).start()
    first = pad.pid
    os.kill(first, signal.SIGKILL)
    assert ends(first)
    new = yard.box("sleep", "60").start()
    assert pad.pid not in (0, first)
    assert new.exec("true").code == 0
    attached = old.runtime.attach(old.run_dir)
    attached.write(b"it\n")
    assert attached.read() == (1, b"said it\n")
    attached.close()
    assert old.wait().code == 3
    pad.close()


def test_a_launchpad_ends_with_its_owner_and_containers_live_on(yard: Yard, tmp_path: Path) -> None:
    pad = LaunchpadLauncher(str(tmp_path / "cache"))
    yard.runtime = LocalRuntime(pad)
    box = yard.box("sleep", "60").start()
    pid = pad.pid
    pad.close()
    assert ends(pid)
    assert box.runtime.state(box.run_dir).status == "running"
    assert box.exec("true").code == 0


def test_the_monitor_leaves_its_creators_group(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    assert box.exec("true").code == 0
    groups = Path(f"/proc/{monitor_of(box)}/cgroup").read_text().splitlines()
    named = [line for line in groups if not line.startswith("0::")]
    assert all(line.endswith(f":/dockyard/{yard.instance}") for line in named)


def test_a_group_of_its_own_below_the_hierarchys_root(yard: Yard) -> None:
    """Its monitor lives in no group then, and what is left of the container is nothing."""

    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["cgroupsPath"] = f"/dytop-{yard.instance}"

    box = yard.box("sleep", "60", change=change).start()
    assert box.exec("true").code == 0
    groups = Path(f"/proc/{monitor_of(box)}/cgroup").read_text().splitlines()
    assert all(line.endswith(":/") for line in groups if not line.startswith("0::"))
    box.runtime.signal(box.run_dir, signal.SIGKILL)
    assert box.wait().code == 137
    box.delete()
    assert box.groups() == []


def test_a_log_that_cannot_be_leaves_no_container(yard: Yard) -> None:
    box = yard.box("sleep", "60", log=Log("/nonexistent/log", "json-file"))
    with pytest.raises(StartFailed, match="/nonexistent/log"):
        box.create()
    assert box.groups() == []
    assert not Path(box.run_dir).exists()


def test_without_a_launchpad(yard: Yard, tmp_path: Path) -> None:
    """A process of its own: one with threads, as pytest may be, must not fork a monitor."""
    box = yard.box("sh", "-c", "echo forked; exit 5")
    program = f"""
from dockyard.node.runtime import launchmessage
from dockyard.node.runtime.launcher import ForkLauncher
from dockyard.node.runtime.local import LocalRuntime
launch, _ = launchmessage.unpack({launchmessage.pack(box.launch, True)!r})
runtime = LocalRuntime(ForkLauncher({str(tmp_path / "cache")!r}))
pid, stream = runtime.create(launch, attach=True)
runtime.start(launch.run_dir)
while frame := stream.read():
    print(frame.data.decode(), end="")
raise SystemExit(stream.exit_code())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (5, "forked\n"), done.stderr

"""What a launchpad makes ahead: it is what a container would have made, or it is not used."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.base.aio.now import pause
from dockyard.node.runtime.launcher import LaunchpadLauncher
from dockyard.node.runtime.local import LocalRuntime

from .conftest import Yard

pytestmark = pytest.mark.root
KINDS = ("pid", "net", "ipc", "uts", "mnt", "cgroup")


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def state(pid: int) -> str:
    """The letter of proc(5); empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def until(happened: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happened():
            return
        pause(0.01)
    raise AssertionError("it did not happen")


def namespace(pid: int | str, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def waiting(pad: LaunchpadLauncher) -> int:
    """The process in namespaces of its own that waits below the launchpad's spare."""
    ours = namespace("self", "pid")
    for _ in range(500):
        for spare in children(pad.pid):
            for child in children(spare):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if namespace(child, "pid") != ours:
                        return child
        pause(0.01)
    raise AssertionError("nothing was made ahead")


def test_namespaces_are_fresh_ones(yard: Yard) -> None:
    ours = {kind: namespace("self", kind) for kind in KINDS}
    seen = []
    for _ in range(2):
        box = yard.box("sleep", "100").start()
        seen.append({kind: namespace(box.pid, kind) for kind in KINDS})
        assert box.exec("ls", "/sys/class/net").out.split() == ["lo"]
    assert all(len({found[kind] for found in (ours, *seen)}) == 3 for kind in KINDS)


def test_it_is_scheduled_as_whoever_asked(yard: Yard, launcher: LaunchpadLauncher) -> None:
    """What made it ahead stands back for others; it does not."""
    waiting(launcher)
    box = yard.box("sleep", "100").start()
    for ask in (os.sched_getscheduler, os.sched_getaffinity):
        assert ask(box.pid) == ask(0)
    assert os.getpriority(os.PRIO_PROCESS, box.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    said = box.exec("cat", "/proc/self/stat").out.rpartition(")")[2].split()
    assert int(said[38]) == os.sched_getscheduler(0), "proc(5), field 41"


def test_what_it_does_not_suit(yard: Yard) -> None:
    ours = namespace("self", "net")
    box = yard.sh(
        "readlink /proc/self/ns/net; echo $$",
        namespaces={"mount": None, "pid": None, "ipc": None, "uts": None, "cgroup": None},
    )
    assert box.run() == (0, f"{ours}\n1\n", "")


def test_one_that_was_killed_is_not_missed(yard: Yard, tmp_path: Path) -> None:
    pad = LaunchpadLauncher(str(tmp_path / "cache"))
    pad.start()
    try:
        yard.runtime = LocalRuntime(pad)
        pid = waiting(pad)
        os.kill(pid, signal.SIGKILL)
        until(lambda: state(pid) == "Z")
        assert yard.sh("echo $$").run() == (0, "1\n", "")
    finally:
        pad.close()


def test_it_ends_with_its_launchpad(tmp_path: Path) -> None:
    pad = LaunchpadLauncher(str(tmp_path / "cache"))
    pad.start()
    pid = waiting(pad)
    pad.close()
    until(lambda: state(pid) == "")


def test_what_is_mounted_ahead_is_what_is_mounted_otherwise(yard: Yard, tmp_path: Path) -> None:
    """/proc, /dev and /sys: the mounts with their options, and each node with its rights."""
    script = """
    while read -r _ _ _ root place options rest; do
        echo "$root $place $options ${rest#*- }"
    done </proc/self/mountinfo | grep -v "^/ / " | sort
    find /dev | sort | xargs stat -c "%n %f %u:%g %t,%T"
    for path in /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/ptmx; do readlink $path; done
    """
    found = []
    for ahead in (True, False):
        pad = LaunchpadLauncher(str(tmp_path / f"cache{ahead}"))
        pad.start()
        try:
            yard.runtime = LocalRuntime(pad)
            pid = waiting(pad)
            if not ahead:
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: state(pid) == "Z")
            code, said, complaints = yard.sh(script).run()
            assert (code, complaints) == (0, "")
            found.append(said)
        finally:
            pad.close()
    assert found[0] == found[1]
    assert "/dev/null 21b6 0:0 1,3" in found[0]
    assert found[0].count("tmpfs ro") >= 2  # masked

"""G07: a daemon is killed with fifty containers running, and again while it recovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.program import eventually

from .conftest import Yard

pytestmark = pytest.mark.root

MANY = 50
PROGRAM = "trap 'exit 9' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 1 & wait; done"
START = """
    from dockyard.node.engine.config import ContainerConfig, RestartPolicy
    base = ContainerConfig(rootfs=sys.argv[3], command=("sh", "-c", sys.argv[5]), network="none")
    for number in range(int(sys.argv[4])):
        policy = RestartPolicy("always" if number == 1 else "no")
        made = engine.create(base._replace(restart=policy), owner="docker", name=f"box{number}")
        engine.start(made.id)
    print(launcher.pid, flush=True)
    signal.pause()
"""
RECOVER = """
    from dockyard.node.engine import refresh
    whole = refresh.refresh

    def one(parts, container):
        print(container.name, flush=True)
        sys.stdin.readline()
        return whole(parts, container)

    refresh.refresh = one
    engine.reconcile()
    print("done", flush=True)
"""


@contextmanager
def daemon(yard: Yard, text: str) -> Iterator[subprocess.Popen[str]]:
    """A process with an engine and a launchpad of its own; killed with -9."""
    head = """
    import signal, sys
    from dockyard.boot.engine import build_engine
    from dockyard.node.runtime.launcher import LaunchpadLauncher
    launcher = LaunchpadLauncher(sys.argv[2])
    engine = build_engine(sys.argv[1], launcher)
    """
    script = textwrap.dedent(head) + textwrap.dedent(text)
    words = [sys.executable, "-c", script, str(yard.root), str(yard.root / "cache"),
             str(yard.lower), str(MANY), PROGRAM]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def lines(yard: Yard, container_id: str) -> int:
    [log] = (yard.root / f"containers/{container_id}").glob("*-json.log")
    return log.read_text().count("\n")


def test_g07_fifty_containers_outlive_their_daemon_and_a_second_kill(yard: Yard) -> None:
    with daemon(yard, START) as first:
        pad = int(said(first))
    boxes = {box.name: box for box in yard.engine.list()}
    assert [box.status for box in boxes.values()] == ["running"] * MANY
    eventually(lambda: not Path(f"/proc/{pad}").exists())  # it goes with its daemon
    for name in ("box0", "box1"):  # their monitors too; box1 is to run always
        os.kill(parent_of(boxes[name].pid), signal.SIGKILL)
    os.kill(boxes["box2"].pid, signal.SIGTERM)  # an end that no daemon sees
    gone = [Path(f"/proc/{boxes[f'box{number}'].pid}") for number in range(3)]
    eventually(lambda: not any(place.exists() for place in gone))
    for number in (0, 1, MANY // 2):  # killed before it has looked at this many
        with daemon(yard, RECOVER) as second:
            assert second.stdin is not None
            for _ in range(number):
                assert said(second).startswith("box")
                second.stdin.write("\n")
                second.stdin.flush()
            assert said(second).startswith("box")
    later = yard.another()
    later.reconcile()
    later.tidy("docker")  # what is to run always
    found = {box.name: box for box in later.list()}
    assert (found["box0"].status, found["box0"].exit_code) == ("exited", 137)
    assert (found["box2"].status, found["box2"].exit_code) == ("exited", 9)
    assert found["box1"].status == "running"
    assert found["box1"].pid != boxes["box1"].pid
    rest = [f"box{number}" for number in range(3, MANY)]
    assert {name: found[name].pid for name in rest} == {name: boxes[name].pid for name in rest}
    before = {name: lines(yard, found[name].id) for name in rest}
    eventually(lambda: all(lines(yard, found[name].id) > before[name] for name in rest))
    assert yard.exec(found["box3"], "echo", "here") == (0, "here\n")
    later.kill("box3", signal.SIGTERM)
    ended = later.wait("box3", 10)
    assert ended is not None
    assert ended.exit_code == 9

"""A container's life: created, started, running, stopped, deleted; and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockyard.base.errors import Conflict
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime.local import wait_for_monitor
from helpers.program import eventually

from .conftest import Yard, refused
from .test_kills import monitor_of

pytestmark = pytest.mark.root


def test_output_and_exit_status(yard: Yard) -> None:
    result = yard.sh("echo out; echo err >&2; exit 7").run()
    assert result == (7, "out\n", "err\n")


def test_exit_is_kept_for_those_who_come_later(yard: Yard) -> None:
    box = yard.sh("exit 3").start()
    assert box.wait().code == 3
    assert box.wait().code == 3
    assert json.loads((Path(box.state_dir) / "exit.json").read_text())["exit"] == 3


def test_created_waits_with_its_namespaces(yard: Yard) -> None:
    box = yard.sh("echo started > /began").create()
    assert box.runtime.state(box.run_dir).status == "created"
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        theirs = str(Path(f"/proc/{box.pid}/ns/{kind}").readlink())
        assert theirs != str(Path(f"/proc/self/ns/{kind}").readlink()), kind
    assert not (box.upper / "began").exists()
    box.runtime.start(box.run_dir)
    assert box.wait().code == 0
    assert (box.upper / "began").exists()


def test_created_can_be_deleted(yard: Yard) -> None:
    box = yard.sh("true").create()
    box.delete()
    assert box.runtime.state(box.run_dir).status == "stopped"
    assert not Path(box.run_dir).exists()


def test_started_twice(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    with pytest.raises(StartFailed, match="is running, not created"):
        box.runtime.start(box.run_dir)
    with pytest.raises(Conflict):
        box.create()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137)])
def test_signals_reach_the_program(yard: Yard, number: int, code: int) -> None:
    # a shell as pid 1 has no handler for SIGTERM unless it sets one (pid_namespaces(7))
    box = yard.sh("trap 'kill $!; exit 143' TERM; echo ready; sleep 60 & wait")
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    assert stream.read() == (1, b"ready\n")
    box.runtime.signal(box.run_dir, number)
    assert box.wait().code == code
    stream.close()


def test_a_signal_to_everyone(yard: Yard) -> None:
    box = yard.sh("sleep 61 & trap '' USR1; echo ready; wait")
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    stream.read()
    box.runtime.signal(box.run_dir, signal.SIGUSR1, everyone=True)
    assert box.wait().code == 0
    stream.close()


def test_stop_with_grace(yard: Yard) -> None:
    box = yard.sh("trap '' TERM; echo ready; while :; do sleep 1; done")
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    stream.read()
    box.runtime.signal(box.run_dir, signal.SIGTERM)
    assert box.runtime.wait(box.run_dir, box.state_dir, 0.2) is None
    box.runtime.signal(box.run_dir, signal.SIGKILL)
    assert box.wait().code == 137
    stream.close()


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["nope"], 127, 'exec: "nope": executable file not found in $PATH'),
        (["/bin/nope"], 127, 'exec: "/bin/nope": no such file or directory'),
        (["/etc"], 126, 'exec: "/etc": permission denied'),
        (["/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
        (["/tmp/script"], 127, 'exec: "/tmp/script": no such file or directory'),
        (["/tmp/noise"], 126, 'exec: "/tmp/noise": exec format error'),
    ],
    ids=["name", "path", "folder", "mode", "interpreter", "format"],
)
def test_why_a_program_does_not_start(yard: Yard, args: list[str], code: int, text: str) -> None:
    box = yard.box(*args)
    folder = box.upper / "tmp"
    folder.mkdir()
    for name, content in (("script", "#!/no/such\n"), ("noise", "\x01\x02\x03\x04 noise")):
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    error = refused(box)
    assert (error.exit_code, str(error)) == (code, text)
    assert box.wait().code == code
    assert box.groups() == []


def test_a_failed_making_leaves_nothing(yard: Yard) -> None:
    def change(spec: dict) -> None:
        spec["mounts"].append({"destination": "/x", "type": "nosuchfs", "source": "none"})

    box = yard.sh("true", change=change)
    error = refused(box)
    assert error.exit_code == 125
    assert "mount none on /x" in str(error)
    assert box.groups() == []
    assert not Path(box.run_dir).exists()


def test_pause_and_resume(yard: Yard) -> None:
    box = yard.sh("while :; do echo; sleep 0.01; done").start()
    box.runtime.pause(box.cgroup)
    assert box.runtime.state(box.run_dir).status == "paused"
    with pytest.raises(StartFailed, match="paused"):
        box.exec("true")
    box.runtime.resume(box.cgroup)
    assert box.runtime.state(box.run_dir).status == "running"
    assert box.exec("true").code == 0


def test_a_paused_container_can_be_deleted(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    box.runtime.pause(box.cgroup)
    box.delete()
    assert box.groups() == []


def test_children_of_a_container_end_with_it(yard: Yard) -> None:
    box = yard.sh("sleep 4711 & exit 0")
    assert box.run().code == 0
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x004711\x00" not in commands


def test_a_long_run_directory(yard: Yard) -> None:
    box = yard.sh("echo far")
    far = Path(box.run_dir) / ("d" * 120)
    far.parent.mkdir()
    box.launch = box.launch._replace(run_dir=str(far))
    box.run_dir = str(far)
    assert box.run().out == "far\n"


def test_g19_a_sandbox_pauses_reaps_and_ends_on_sigterm(yard: Yard) -> None:
    def change(spec: dict) -> None:
        spec["process"]["args"] = []
        spec["annotations"] = {"dockyard.io/pause": "true"}

    sandbox = yard.sh("", change=change).start()
    assert (Path("/proc") / str(sandbox.pid) / "comm").read_text() != "python3\n"

    def join(spec: dict) -> None:
        spec["linux"]["namespaces"] = [
            {"type": "mount"},
            {"type": "cgroup"},
            *(
                {"type": kind, "path": f"/proc/{sandbox.pid}/ns/{name}"}
                for kind, name in (
                    ("pid", "pid"),
                    ("network", "net"),
                    ("ipc", "ipc"),
                    ("uts", "uts"),
                )
            ),
        ]

    # the orphan's parent is the sandbox now: it must not stay a zombie
    member = yard.sh("(sleep 0.05 &) ; exit 0", change=join)
    assert member.run().code == 0
    counting = yard.sh("sleep 0.2; ps -o stat | grep -c Z", change=join)
    assert counting.run().out == "0\n"
    sandbox.runtime.signal(sandbox.run_dir, signal.SIGTERM)
    assert sandbox.wait().code == 0


def test_g19_zombies_go_with_a_container_that_reaps_nobody(yard: Yard) -> None:
    """Its first process never waits: what it leaves goes with its pid namespace, and its monitor
    reaps all that is its own, killed with it or not."""
    text = "for i in $(seq 20); do (true &); done; exec sleep 60"
    box = yard.sh(f"{text}").start()
    for _ in range(5):
        assert box.exec("sh", "-c", "(sleep 0.01 &); exit 3").code == 3
    monitor = monitor_of(box)
    children = Path(f"/proc/{monitor}/task/{monitor}/children")
    eventually(lambda: children.read_text().split() == [str(box.pid)])
    inside = [int(pid) for pid in box.runtime.processes(box.cgroup)]
    box.delete()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (*inside, monitor)))


def test_g19_nothing_of_a_container_stays_when_its_monitor_dies(yard: Yard) -> None:
    box = yard.sh("for i in $(seq 20); do (true &); done; exec sleep 60").start()
    eventually(lambda: len(box.runtime.processes(box.cgroup)) > 0)
    inside = [int(pid) for pid in box.runtime.processes(box.cgroup)]
    os.kill(monitor_of(box), signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (*inside, box.pid)))


def test_g20_what_a_monitor_has_left_is_nobodys(yard: Yard) -> None:
    """A socket that nobody listens on, and the end of a life before."""
    box = yard.box("sleep", "60")
    run = Path(box.run_dir)
    run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as old:
        old.bind(str(run / "monitor.sock"))
    Path(box.state_dir, "exit.json").write_text('{"exit": 9, "oom_killed": false, "finished": 1}')
    assert box.runtime.state(box.run_dir).status == "stopped"
    box.start()
    assert box.runtime.state(box.run_dir).status == "running"
    assert box.runtime.exit(box.state_dir) is None
    box.delete()
    assert not run.exists()


def test_many_at_once(yard: Yard) -> None:
    """Several threads of a daemon share one launchpad."""
    boxes = [yard.sh(f"echo {number}; exit {number}") for number in range(30)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda box: box.run(), boxes))
    assert [(result.code, result.out) for result in results] == [
        (number, f"{number}\n") for number in range(30)
    ]


def test_many_are_asked_at_once(yard: Yard) -> None:
    boxes = [yard.box("sleep", "100").start() for _ in range(3)]
    boxes[1].runtime.signal(boxes[1].run_dir, signal.SIGKILL)
    boxes[1].wait()
    wait_for_monitor(boxes[1].run_dir)
    asked = [*(box.run_dir for box in boxes), str(yard.folder / "nobody")]
    found = boxes[0].runtime.states_of(asked)
    assert [state and state.status for state in found] == [
        "running", "stopped", "running", "stopped",
    ]  # fmt: skip
    assert found == [boxes[0].runtime.state(run_dir) for run_dir in asked]

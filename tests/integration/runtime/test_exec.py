"""Further commands in a running container."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dockyard.interfaces.ociruntime import StartFailed

from .conftest import Yard, collect

pytestmark = pytest.mark.root


def test_output_status_and_namespaces(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    result = box.exec("sh", "-c", "echo out; echo err >&2; readlink /proc/self/ns/pid; exit 4")
    assert result.code == 4
    assert result.err == "err\n"
    assert result.out.splitlines() == ["out", str(Path(f"/proc/{box.pid}/ns/pid").readlink())]


def test_input_of_any_size(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    big = os.urandom(1 << 16).hex().encode() * 40  # 5 MiB: more than any buffer on the way
    assert box.exec("wc", "-c", stdin=big).out == f"{len(big)}\n"
    assert box.exec("md5sum", stdin=b"").out.startswith("d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize(("program", "code"), [("nope", 127), ("/etc", 126)])
def test_a_command_that_is_none(yard: Yard, program: str, code: int) -> None:
    box = yard.box("sleep", "60").start()
    with pytest.raises(StartFailed) as caught:
        box.exec(program)
    assert caught.value.exit_code == code
    assert box.exec("true").code == 0


def test_in_a_container_that_does_not_run(yard: Yard) -> None:
    box = yard.box("true").create()
    with pytest.raises(StartFailed, match="created, not running"):
        box.exec("true")


def test_with_a_terminal(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    document = {
        **box.launch.spec["process"],
        "args": ["sh", "-c", "tty; stty size; read line; stty size; echo got $line; exit 6"],
        "terminal": True,
        "consoleSize": {"height": 30, "width": 90},
    }
    stream = box.runtime.exec(box.run_dir, document, stdin=True)
    first = stream.read()
    assert first is not None
    assert first.data.startswith(b"/dev/pts/")
    stream.resize(40, 120)
    stream.write(b"typed\n")
    result = collect(stream)
    assert result.code == 6
    assert "40 120" in result.out
    assert "got typed" in result.out


def test_interrupting_a_command(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    stream = box.runtime.exec(
        box.run_dir, {**box.launch.spec["process"], "args": ["sleep", "61"]}, stdin=False
    )
    stream.signal(signal.SIGTERM)
    assert collect(stream).code == 143
    assert box.runtime.state(box.run_dir).status == "running"


def test_detached(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    document = {**box.launch.spec["process"], "args": ["sh", "-c", "echo x; touch /done; exit 9"]}
    stream = box.runtime.exec(box.run_dir, document, stdin=False, detach=True)
    assert collect(stream) == (9, "", "")
    assert (box.upper / "done").exists()


def test_shares_the_limits(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    result = box.exec("cat", "/proc/self/cgroup")
    assert "pids:/\n" in result.out
    tasks = Path(f"/sys/fs/cgroup/pids/{box.cgroup}/cgroup.procs").read_text().split()
    assert tasks == [str(box.pid)]


def test_many_at_once(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    document = {**box.launch.spec["process"], "args": ["sh", "-c", "cat; exit 2"]}
    streams = [box.runtime.exec(box.run_dir, document, stdin=True) for _ in range(20)]
    for index, stream in enumerate(streams):
        stream.write(f"{index}\n".encode())
        stream.close_stdin()
    results = [collect(stream) for stream in streams]
    assert [result.out for result in results] == [f"{index}\n" for index in range(20)]
    assert {result.code for result in results} == {2}


def test_as_somebody_else(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    user = {"uid": 1000, "gid": 1000, "additionalGids": [2000]}
    assert (
        box.exec("id", user=user).out
        == ("uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n")
        or box.exec("id", user=user).out == "uid=1000(app) gid=1000(app) groups=2000(extra)\n"
    )

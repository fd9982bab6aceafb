"""Standard streams: logs, clients, terminals, and a flood that nobody reads."""

from __future__ import annotations

import json
import select
from pathlib import Path
from typing import Any

import pytest

from dockyard.interfaces.ociruntime import Log
from dockyard.node.runtime.stream import ask, connect
from dockyard.node.runtime.wire import STDIN, control, frame

from .conftest import Box, Yard, collect

pytestmark = pytest.mark.root


def terminal(spec: dict[str, Any]) -> None:
    spec["process"]["terminal"] = True
    spec["process"]["consoleSize"] = {"height": 25, "width": 70}


def logged(box: Box) -> list[dict[str, str]]:
    assert box.launch.log is not None
    return [json.loads(line) for line in Path(box.launch.log.path).read_text().splitlines()]


def test_the_log_of_docker(yard: Yard) -> None:
    box = yard.sh("echo one; echo two >&2; printf three")
    box.run()
    assert sorted((line["stream"], line["log"]) for line in logged(box)) == [
        ("stderr", "two\n"), ("stdout", "one\n"), ("stdout", "three"),
    ]  # fmt: skip


def test_the_log_of_the_cri(yard: Yard, tmp_path: Path) -> None:
    path = tmp_path / "cri.log"
    yard.sh("echo one; echo two >&2; printf three", log=Log(str(path), "cri")).run()
    lines = sorted(line.split(" ", 1)[1] for line in path.read_text().splitlines())
    assert lines == ["stderr F two", "stdout F one", "stdout P three"]


def test_rotation(yard: Yard, tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = "for i in $(seq 1000); do echo line $i; done"
    yard.sh(text, log=Log(str(path), "json-file", max_bytes=10_000, max_files=3)).run()
    files = sorted(found.name for found in tmp_path.glob("log*"))
    assert files == ["log", "log.1", "log.2"]
    assert all(found.stat().st_size <= 10_000 for found in tmp_path.glob("log*"))
    assert '"line 1000\\n"' in path.read_text()


def test_a_log_that_was_moved_away(yard: Yard, tmp_path: Path) -> None:
    box = yard.sh("echo before; read x; echo after", open_stdin=True)
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    stream.read()
    assert box.launch.log is not None
    path = Path(box.launch.log.path)
    path.rename(f"{path}.old")
    box.runtime.reopen_log(box.run_dir)
    stream.write(b"go\n")
    collect(stream)
    assert [line["log"] for line in logged(box)] == ["after\n"]


def test_a19_a_flood_is_held_back(yard: Yard, tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), "json-file", max_bytes=100_000, max_files=2)
    box = yard.sh("yes $(printf %01000d 0) | head -c 20000000; echo end", log=log)
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    # nobody reads: the program waits, nothing is lost, the monitor stays small
    assert box.runtime.wait(box.run_dir, box.state_dir, 0.3) is None
    result = collect(stream)
    assert len(result.out) == 20_000_000 + len("end\n")
    assert result.out.endswith("end\n")


def memory(box: Box) -> int:
    """Anonymous memory of its monitor, in kilobytes: proc(5), RssAnon."""
    status = Path(f"/proc/{box.pid}/status").read_text()
    monitor = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    lines = Path(f"/proc/{monitor}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def test_a19_input_that_nobody_reads(yard: Yard) -> None:
    box = yard.box("sleep", "60", open_stdin=True).start()
    before = memory(box)
    peer = connect(box.run_dir)
    ask(peer, op="attach")
    peer.setblocking(False)
    piece = frame(STDIN, b"x" * 65536)
    sent, full = 0, 0
    while full < 20 and sent < 200 << 20:
        try:
            sent += peer.send(piece[sent % len(piece) :])
        except BlockingIOError:
            full += 1
            select.select([], [peer], [], 0.05)
    assert sent < 50 << 20, "the writer is held back"
    assert memory(box) - before < 16 << 10
    assert box.exec("true").code == 0
    peer.close()


def test_a19_a_flood_of_sizes(yard: Yard) -> None:
    box = yard.sh("sleep 60", change=terminal).start()
    before = memory(box)
    peer = connect(box.run_dir)
    for number in range(20_000):
        peer.sendall(control({"op": "resize", "rows": number % 500, "columns": 80}))
    assert ask(peer, op="state")["status"] == "running"
    peer.close()
    assert box.exec("stty", "size", terminal=True, consoleSize={"height": 3, "width": 4}).code == 0
    assert memory(box) - before < 16 << 10


def test_a19_a_flood_of_a_command_that_nobody_reads(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    before = memory(box)
    document = {**box.launch.spec["process"], "args": ["sh", "-c", "yes | head -c 100000000"]}
    stream = box.runtime.exec(box.run_dir, document, stdin=False)
    assert box.exec("true").code == 0  # others are served meanwhile
    assert memory(box) - before < 16 << 10
    stream.signal(9)
    stream.close()


def test_several_clients(yard: Yard) -> None:
    box = yard.sh("read a; echo said $a", open_stdin=True).start()
    streams = [box.runtime.attach(box.run_dir) for _ in range(3)]
    streams[0].write(b"hello\n")
    assert [collect(stream) for stream in streams] == [(0, "said hello\n", "")] * 3


def test_without_input(yard: Yard) -> None:
    assert yard.sh("cat; echo end").run().out == "end\n"


def test_a_terminal(yard: Yard) -> None:
    box = yard.sh("tty; stty size; ls -l /dev/console /dev/pts | wc -l", change=terminal)
    result = box.run()
    assert result.out.splitlines()[:2] == ["/dev/pts/0", "25 70"]
    assert result.err == ""
    assert logged(box)[0]["log"] == "/dev/pts/0\r\n"


def test_a_terminal_takes_input_and_sizes(yard: Yard) -> None:
    text = "trap 'stty size' WINCH; while ! read x; do :; done; echo got $x"
    box = yard.sh(text, change=terminal, open_stdin=True)
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    box.runtime.resize(box.run_dir, 33, 44)
    stream.write(b"word\n")
    result = collect(stream)
    assert "got word" in result.out


def test_interrupt_character(yard: Yard) -> None:
    box = yard.sh("trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done",
                  change=terminal, open_stdin=True)  # fmt: skip
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    stream.read()
    stream.write(b"\x03")
    result = collect(stream)
    assert (result.code, "caught" in result.out) == (5, True)

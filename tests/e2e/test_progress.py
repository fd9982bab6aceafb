"""What is seen while it goes on: bars on a terminal of any size, plain lines elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers import own_registry
from helpers.console import Console
from helpers.machine import Machine, archive
from helpers.tars import file, tar

pytestmark = pytest.mark.root

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path / "one")
    layers = (tar(file("f", b"x" * 100_000)), tar(file("g")))
    found.run("image", "load", "-qi", str(archive(tmp_path / "a.tar", *layers)))
    return found


def on_terminal(machine: Machine, columns: int, *words: str) -> str:
    """All that it wrote; ``columns`` 0: a terminal that nobody gave a size."""
    line = f'stty rows {24 if columns else 0} cols {columns}; exec "$@"'
    env = {**machine.env, "TERM": "xterm"}
    console = Console(["/bin/sh", "-c", line, "sh", str(machine.program), *words], env)
    try:
        assert console.code() == 0, console.seen
    finally:
        console.close()
    return console.seen.decode()


def lines(text: str) -> list[str]:
    return re.split(r"[\r\n]+", CONTROL.sub("", text))


@pytest.mark.parametrize("columns", [50, 120, 0])
def test_a_pull_has_a_bar_for_each_layer(machine: Machine, columns: int, tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "registry") as registry:
        name = f"{registry.address}/app:1"
        machine.run("tag", "plain:1", name)
        pushed = on_terminal(machine, columns, "push", name)
        assert "\x1b[" in pushed and len(set(re.findall(r"(\w{12}): Pushed", pushed))) == 3
        other = Machine(tmp_path / "two")
        seen = on_terminal(other, columns, "pull", name)
        assert "\x1b[" in seen
        done = {line[:12] for line in lines(seen) if ": Pull complete" in line}
        assert len(done) == 2
        assert f"Status: Downloaded newer image for {name}" in seen
        bars = [line for line in lines(seen) if line[:12] in done]
        assert max(map(len, bars)) <= (columns or 80)
        third = Machine(tmp_path / "three")
        plain = third.run("pull", name)
        assert "\x1b" not in plain and "\r" not in plain
        states = {line[14:] for line in plain.splitlines() if line[:12] in done}
        assert states >= {"Pulling fs layer", "Pull complete"}


@pytest.mark.parametrize("columns", [40, 0])
def test_a_build_is_drawn_step_by_step(machine: Machine, columns: int, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(
        f"FROM plain:1\nCOPY Dockerfile /f\nENV {'LONG' * 30}=1\n"
    )
    seen = on_terminal(machine, columns, "build", "-t", "app", str(tmp_path / "context"))
    frames = lines(seen)
    assert re.search(r"^\[\+\] Building \d+\.\ds \((\d+)/\1\) FINISHED$", "\n".join(frames), re.M)
    assert any(line.startswith(" => [2/3] COPY Dockerfile /f  ") for line in frames)
    assert max(map(len, frames)) < (columns or 80)
    plain = machine.try_run("build", "--no-cache", "-t", "app", str(tmp_path / "context"))
    assert "\x1b" not in plain.stderr and "[2/3] COPY Dockerfile /f\n" in plain.stderr

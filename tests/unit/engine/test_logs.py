"""Reading a log back: tails over rotated files, times, and following without missing a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockyard.node.engine import logs


def line(number: int, stream: str = "stdout") -> str:
    stamp = f"2026-01-01T00:00:{number:02d}.000000000Z"
    return json.dumps({"log": f"line {number}\n", "stream": stream, "time": stamp}) + "\n"


def write(path: Path, *numbers: int) -> Path:
    path.write_text("".join(map(line, numbers)))
    return path


def numbers(entries: object) -> list[int]:
    return [int(entry.text.split()[1]) for entry in entries]  # type: ignore[attr-defined]


@pytest.fixture
def rotated(tmp_path: Path) -> str:
    write(tmp_path / "log.2", 0, 1)
    write(tmp_path / "log.1", 2, 3, 4)
    return str(write(tmp_path / "log", 5, 6))


def test_the_oldest_file_comes_first(rotated: str) -> None:
    assert numbers(logs.read(rotated)) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("count", range(9))
def test_a_tail_reaches_into_rotated_files(rotated: str, count: int) -> None:
    assert numbers(logs.read(rotated, tail=count)) == [0, 1, 2, 3, 4, 5, 6][7 - min(count, 7) :]


def test_a_tail_of_a_large_file_is_found_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BLOCK", 7)
    path = str(write(tmp_path / "log", *range(30)))
    for count in (0, 1, 2, 29, 30, 31):
        expected = list(range(30))[30 - min(count, 30) :]
        assert numbers(logs.read(path, tail=count)) == expected


def test_since_and_until(rotated: str) -> None:
    start = 1767225600.0  # 2026-01-01T00:00:00Z
    assert numbers(logs.read(rotated, since=start + 5)) == [5, 6]
    assert numbers(logs.read(rotated, until=start + 1)) == [0, 1]


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line(1) + '{"log":"half')
    assert numbers(logs.read(str(path))) == [1]


def test_a_container_that_never_ran_has_no_log(tmp_path: Path) -> None:
    assert list(logs.read(str(tmp_path / "log"))) == []


def test_following_misses_nothing_and_ends_with_the_container(tmp_path: Path) -> None:
    """Each wait of the reader, something else happens to the files."""
    path = tmp_path / "log"
    write(path, 1)
    steps = iter(("append", "half", "rest", "rotate", "rotate twice", "truncate", "end"))
    done: list[str] = []

    def append(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    def rotate() -> None:
        if (tmp_path / "log.1").exists():
            (tmp_path / "log.1").rename(tmp_path / "log.2")
        path.rename(tmp_path / "log.1")

    def ended(_: float) -> bool:
        step = next(steps)
        done.append(step)
        if step == "append":
            append(line(2))
        elif step == "half":
            append(line(3)[:10])
        elif step == "rest":
            append(line(3)[10:])
        elif step == "rotate":
            append(line(4))
            rotate()
            write(path, 5)
        elif step == "rotate twice":
            append(line(6))
            rotate()
            write(path, 7)
            rotate()
            write(path, 8)
        elif step == "truncate":
            path.write_text("")
        elif step == "end":
            append(line(9))
        return step == "end"

    assert numbers(logs.read(str(path), ended=ended)) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert done[-1] == "end"

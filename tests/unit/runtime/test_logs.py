"""Log lines as the field writes them, in parts, over rotations and on a full disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockyard.base.errors import Invalid
from dockyard.interfaces.ociruntime import Log
from dockyard.node.runtime.logs import LONGEST_LINE, LogWriter

STAMP = 1767323045.678901
TIME = "2026-01-02T03:04:05"


def writer(path: Path, kind: str = "json-file", **more: int) -> LogWriter:
    return LogWriter(Log(str(path), kind, **more), lambda: STAMP)


def test_json_file(tmp_path: Path) -> None:
    log = writer(tmp_path / "log")
    log.write(1, b'say "hi"\nnext')
    log.write(2, b"caf\xc3\xa9 \xff\n")
    log.close()
    first, second, third = (
        json.loads(line) for line in (tmp_path / "log").read_text().splitlines()
    )
    assert (first["log"], first["stream"]) == ('say "hi"\n', "stdout")
    assert first["time"].startswith(TIME)
    assert first["time"].endswith("Z")
    assert len(first["time"]) == len("2026-01-02T03:04:05.678901004Z")
    assert (second["log"], second["stream"]) == ("caf\u00e9 \ufffd\n", "stderr")
    assert third["log"] == "next"


def test_cri(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", "cri")
    log.write(1, b"one\n" + b"x" * (LONGEST_LINE + 5) + b"\n")
    log.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    tags = [line.split(b" ")[1:3] for line in lines]
    assert tags == [[b"stdout", b"F"], [b"stdout", b"P"], [b"stdout", b"F"]]
    assert [len(line.split(b" ", 3)[3]) for line in lines] == [3, LONGEST_LINE, 5]


def test_a_line_without_an_end_is_written_in_parts(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", "cri")
    for _ in range(10):
        log.write(1, b"y" * 10_000)
    assert (tmp_path / "log").read_bytes().count(b"\n") == 100_000 // LONGEST_LINE


def test_rotation_keeps_whole_lines_and_so_many_files(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", max_bytes=1000, max_files=3)
    log.write(1, b"".join(b"line %d\n" % number for number in range(100)))
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert all(file.stat().st_size <= 1000 for file in files)
    kept = [
        json.loads(line)["log"]
        for file in reversed(files)
        for line in file.read_text().splitlines()
    ]
    assert kept == [f"line {number}\n" for number in range(100 - len(kept), 100)]


def test_one_file_starts_anew(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", max_bytes=300, max_files=1)
    for number in range(20):
        log.write(1, b"line %d\n" % number)
    assert [file.name for file in tmp_path.iterdir()] == ["log"]
    assert "line 19" in (tmp_path / "log").read_text()


def test_a_restart_goes_on_in_the_file(tmp_path: Path) -> None:
    for text in (b"a\n", b"b\n"):
        log = writer(tmp_path / "log")
        log.write(1, text)
        log.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_a_full_disk_loses_output_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(OSError, match="symbolic"):
        writer(tmp_path / "log")
    log = writer(Path("/dev/full"))
    log.write(1, b"hello\n")
    assert log.lost > len("hello")


def test_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="syslog"):
        writer(tmp_path / "log", "syslog")

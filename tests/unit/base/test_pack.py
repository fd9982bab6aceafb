"""A pack of compiled modules: used while it is true, left alone when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from dockyard.base.pack import Pack
pack = Pack(sys.argv[1])
pack.install()
import packed, packed.inner
loader = type(packed.__spec__.loader).__name__
print(packed.VALUE, packed.inner.VALUE, loader, packed.inner.__file__)
pack.keep()
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/__init__.py").write_text("VALUE = 1\n")
    (tmp_path / "packed/inner.py").write_text("VALUE = 2\n")
    return tmp_path


def run(room: Path, **more: str) -> list[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    paths = os.pathsep.join([str(room), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(room / "pack")], capture_output=True, text=True,
        env={**environment, "PYTHONPATH": paths, **more},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_second_time_it_is_used(room: Path) -> None:
    inner = str(room / "packed/inner.py")
    assert run(room) == ["1", "2", "SourceFileLoader", inner]
    before = (room / "pack").stat()
    assert run(room) == ["1", "2", "Pack", inner]
    assert (room / "pack").stat().st_mtime_ns == before.st_mtime_ns  # nothing to add
    assert sorted(path.name for path in room.iterdir()) == ["pack", "packed"]


def test_a_source_that_has_changed(room: Path) -> None:
    run(room)
    (room / "packed/__init__.py").write_text("VALUE = 33\n")
    assert run(room)[:3] == ["33", "2", "SourceFileLoader"]
    assert run(room)[:3] == ["33", "2", "Pack"]


def test_a_source_that_is_gone(room: Path) -> None:
    run(room)
    (room / "packed/inner.py").rename(room / "packed/other.py")
    with pytest.raises(AssertionError, match=r"packed\.inner"):
        run(room)


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"\xe9\x00", b"[\x01\x00\x00\x00N", b")\x02NN", b"i\x01\x00\x00\x00"]
)
def test_a_damaged_one(room: Path, data: bytes) -> None:
    (room / "pack").write_bytes(data)
    assert run(room)[2] == "SourceFileLoader"
    assert run(room)[2] == "Pack"


def test_no_writing_when_it_is_not_wanted(room: Path) -> None:
    run(room, PYTHONDONTWRITEBYTECODE="1")
    assert not (room / "pack").exists()


def test_another_optimisation_is_another_pack(room: Path) -> None:
    run(room)
    assert run(room, PYTHONOPTIMIZE="1")[2] == "SourceFileLoader"


def test_where_it_cannot_be_written(room: Path) -> None:
    (room / "pack").mkdir()
    assert run(room)[:3] == ["1", "2", "SourceFileLoader"]
    assert list((room / "pack").iterdir()) == []
    assert [path.name for path in room.iterdir() if path.name.startswith("pack.")] == []

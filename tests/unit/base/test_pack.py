"""A pack of compiled modules: used while it is true, left alone when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.base.packneeds import needs

SCRIPT = """
import sys
from dockyard.base.pack import Pack
pack = Pack(sys.argv[1], "packed")
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


def run(room: Path, script: str = SCRIPT, **more: str) -> list[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    paths = os.pathsep.join([str(room), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-c", script, str(room / "pack")], capture_output=True, text=True,
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


class TestWhatAModuleImportsFirst:
    """It is made before it, and no finder is asked."""

    SCRIPT = """
import sys
from dockyard.base.pack import Pack
pack = Pack(sys.argv[1], "packed")
pack.install()
asked = []
class Asked:
    def find_spec(name, path=None, target=None):
        global asked
        asked += [name] * name.startswith("packed")
sys.meta_path.insert(0, Asked)
MORE
import packed.outer
print(packed.outer.VALUE, packed.deep.down.VALUE, packed.deep.down.__package__, len(asked),
      "packed.never" in sys.modules)
pack.keep()
"""

    @pytest.fixture
    def room(self, room: Path) -> Path:
        packed = room / "packed"
        (packed / "deep").mkdir()
        (packed / "deep/__init__.py").write_text("")
        (packed / "deep/down.py").write_text("from packed import inner\nVALUE = inner.VALUE + 1\n")
        (packed / "never.py").write_text("raise RuntimeError\n")
        (packed / "outer.py").write_text(
            "from packed.deep.down import VALUE as LOW\nFALSE = False\n"
            "if FALSE:\n    import packed.never\n"
            "try:\n    import packed.none\nexcept ImportError:\n    VALUE = LOW\n"
            "def later():\n    import packed.never\n"
        )
        return room

    def run(self, room: Path, more: str = "") -> list[str]:
        return run(room, self.SCRIPT.replace("MORE", more))

    def test_only_the_first_is_asked_for(self, room: Path) -> None:
        first = self.run(room)
        assert first[:3] == ["3", "3", "packed.deep"]
        again = self.run(room)
        assert again == ["3", "3", "packed.deep", "3", "False"]  # packed, outer, and none
        assert int(first[3]) > 3

    def test_a_thread_asks_for_each(self, room: Path) -> None:
        expected = self.run(room)
        self.run(room)
        waits = "import threading; hold = threading.Event(); " \
                "threading.Thread(target=hold.wait, daemon=True).start()"  # fmt: skip
        assert self.run(room, waits) == expected

    def test_one_that_has_changed_is_read(self, room: Path) -> None:
        self.run(room)
        (room / "packed/inner.py").write_text("VALUE = 20\n")
        assert self.run(room)[:2] == ["21", "21"]
        assert self.run(room)[:4] == ["21", "21", "packed.deep", "3"]

    def test_a_package_that_has_changed_is_read(self, room: Path) -> None:
        self.run(room)
        (room / "packed/deep/__init__.py").write_text("VALUE = 5\n")
        assert self.run(room)[:3] == ["3", "3", "packed.deep"]
        assert self.run(room)[3] == "3"

    def test_one_that_fails_is_not_there(self, room: Path) -> None:
        (room / "packed/inner.py").write_text("import os\nVALUE = 4 / int(os.environ['BY'])\n")
        run(room, self.SCRIPT.replace("MORE", ""), BY="1")
        failing = """
import os
for _ in range(2):
    try:
        import packed.outer
    except ZeroDivisionError:
        print(*sorted(name for name in sys.modules if name.startswith("packed")))
os.environ["BY"] = "2"
"""
        said = run(room, self.SCRIPT.replace("MORE", failing), BY="0")
        assert said[:5] == ["packed", "packed.deep", "packed", "packed.deep", "3.0"]


def test_needs() -> None:
    source = """'''Text.'''
import os, a.b.c as d
from a import (  # as it is said
    b,  # (first)
    e as f,
)
from a.f import name  # and so on
from . import g
if TYPE_CHECKING:
    import a.h
def late():
    import a.h
"""
    known = {"a", "a.b", "a.b.c", "a.e", "a.f", "a.g", "a.h", "os"}
    assert needs(source, "a", known) == ("a", "a.b", "a.b.c", "a.e", "a.f")
    assert needs(source, "a", {"a.b.c"}) == ("a.b.c",)


@pytest.mark.parametrize(
    "source", ["from", "import (", "from a import (", "from x", "import ,", ""]
)
def test_what_is_no_python_needs_nothing(source: str) -> None:
    assert needs(source, "b", {"a", "b"}) == ()


def test_a_text_imports_nothing() -> None:
    source = '"""Text.\n\nfrom a import b\n"""\nfrom a import c\n"""\nimport a.b\n"""\n'
    assert needs(source, "a", {"a.b", "a.c"}) == ("a.c",)

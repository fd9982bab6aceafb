"""Which modules a hot verb loads: start-up time is the product, and imports are most of it.

Time itself decides nothing here. A module that is not in the list has to be worth its milliseconds
for every `dockyard run`: then it is added, with a word about why.
"""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.base.packneeds import needs
from dockyard.node.runtime.settled import MODULES
from helpers import rootfs

STANDARD = {"atexit", "encodings", "errno", "fcntl", "gc", "itertools", "select", "struct"}
"""Small ones written in C. Not `argparse`, `collections`, `contextlib`, `ctypes`, `enum`,
`functools`, `json`, `re`, `signal`, `socket`, `typing`: 11 ms."""
VERBS = {
    "run": ["run", "--rm", "--network", "none", "--rootfs", "TREE", "true"],
    "ps": ["ps", "-a"],
    "exec": ["exec", "nobody", "true"],
    "logs": ["logs", "nobody"],
    "stop": ["stop", "nobody"],
    "rm": ["rm", "nobody"],
}
ROOMS = ("base.aio.now", "base.contexts", "base.errors", "base.jsontext", "base.later",
         "base.leave", "base.linux", "base.oci", "base.pack", "base.pattern", "base.record",
         "base.remembered", "base.sqlite", "base.suppress", "base.typed", "base.version",
         "boot.engine", "cli", "interfaces.ociruntime", "interfaces.startfailed",
         "node.engine", "node.runtime", "node.volume")  # fmt: skip
SOURCES = Path(__file__).parents[2] / "src"
SCRIPT = """
import sys
from dockyard.cli.main import main
sys.argv = ["dockyard", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print("LOADED", *sorted(sys.modules))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rootfs.make(tmp_path_factory.mktemp("tree"))


def loaded(words: list[str], tree: Path, root: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *(str(tree) if w == "TREE" else w for w in words)],
        capture_output=True, text=True, env={**os.environ, "DOCKYARD_ROOT": str(root)},
    )  # fmt: skip
    [line] = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    return set(line.split()[1:])


def of_site() -> set[str]:
    """What this installation's site packages load into every process."""
    done = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.root
@pytest.mark.parametrize("verb", VERBS)
def test_a_hot_verb_loads_little(verb: str, tree: Path, tmp_path: Path) -> None:
    names = loaded(VERBS[verb], tree, tmp_path / "data") - of_site()
    tops = {name.partition(".")[0] for name in names}
    foreign = {top for top in tops if top not in STANDARD and not top.startswith("_")}
    assert foreign == {"dockyard"}
    ours = {name.removeprefix("dockyard.") for name in names if name.startswith("dockyard.")}
    strangers = {
        name for name in ours
        if not any(f"{room}.".startswith(f"{name}.") or f"{name}.".startswith(f"{room}.")
                   for room in ROOMS)
    }  # fmt: skip
    assert strangers == set()


@pytest.mark.root
def test_an_image_is_what_brings_the_image_store(tree: Path, tmp_path: Path) -> None:
    names = loaded(VERBS["run"], tree, tmp_path / "data")
    assert "dockyard.node.image.store" not in names
    assert "dockyard.node.network.bridges" not in names


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["frob"]])
def test_the_table_of_verbs_loads_none_of_them(
    words: list[str], tree: Path, tmp_path: Path
) -> None:
    names = loaded(words, tree, tmp_path)
    ours = {name for name in names if name.startswith("dockyard.") and name.count(".") > 1}
    assert ours <= {"dockyard.base.errors", "dockyard.base.version", "dockyard.cli.main"}


def test_who_waits_to_make_a_container_loads_little_of_the_standard_library() -> None:
    """A command waits for them: their imports are a third of it."""
    script = (
        "from dockyard.node.runtime import launchmessage, maker, newborn, rehearsal, spare; "
        "launchmessage.order(*launchmessage.split(rehearsal.nothing())); "
        "import sys; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True)  # fmt: skip
    names = set(done.stdout.split()) - of_site()
    foreign = {name.partition(".")[0] for name in names if not name.startswith("_")}
    assert foreign == {"dockyard", "errno", "fcntl", "gc", "itertools", "resource", "select",
                       "struct", "termios"}  # fmt: skip


def test_a_monitor_needs_little_of_the_standard_library() -> None:
    """It stays as long as its container; `typing`, `contextlib`, `json`, `ctypes`
    would be 3 MB of each."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules)\n" \
             "from dockyard.node.runtime import settled\n" \
             "print(*sorted(set(sys.modules) - before))"  # fmt: skip
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, str(SOURCES)],
                          capture_output=True, text=True, check=True)  # fmt: skip
    names = {name for name in done.stdout.split() if not name.startswith("dockyard")}
    of_os = {"os", "os.path", "posixpath", "genericpath", "stat", "_stat", "_collections_abc"}
    modules = {"__future__", "_json", "_socket", "_struct", "errno", "marshal", "select", "struct"}
    assert names - of_os <= modules
    assert {name for name in done.stdout.split() if name.startswith("dockyard")} == set(MODULES)


def modules() -> dict[str, Path]:
    """Ours, by their names."""
    return {
        ".".join(file.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (SOURCES / "dockyard").rglob("*.py")
    }


def test_no_two_modules_import_each_other() -> None:
    """A pack makes what a module imports first of all before it (:mod:`dockyard.base.pack`)."""
    files = modules()
    found = {name: needs(file.read_text(), "dockyard", files) for name, file in files.items()}
    assert len(found["dockyard.cli.run"]) > 5
    graphlib.TopologicalSorter(found).prepare()  # raises with the circle


def test_a_pack_reads_imports_as_python_does() -> None:
    files = modules()
    for file in files.values():
        source = file.read_text()
        names: dict[str, None] = {}
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Import):
                names.update((alias.name, None) for alias in statement.names)
            elif isinstance(statement, ast.ImportFrom):
                assert statement.module and not statement.level
                names[statement.module] = None
                names.update((f"{statement.module}.{a.name}", None) for a in statement.names)
        expected: dict[str, None] = {}
        for name in names:
            above = [name[:end] for end, letter in enumerate(name) if letter == "."]
            expected.update((one, None) for one in (*above, name) if one in files)
        assert needs(source, "dockyard", files) == tuple(expected), file

"""Which modules dockyard-oci loads: a shim starts it three times for each container."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ociruntime, rootfs
from house.test_imports import STANDARD, of_site

MORE = {"collections", "copyreg", "enum", "functools", "json", "keyword", "operator", "re",
        "reprlib", "resource", "termios", "types"}  # fmt: skip
"""Most are `json`'s: what is printed is to be read by people too."""
SCRIPT = """
import sys
from dockyard.node.runtime.oci_cli import main
sys.argv = ["dockyard-oci", *sys.argv[1:]]
code = main()
print("LOADED", code, *sorted(sys.modules))
"""


def loaded(root: Path, *words: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--root", str(root), *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    [line] = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    _, code, *names = line.split()
    return int(code), set(names) - of_site()


def check(names: set[str]) -> set[str]:
    """Nothing heavy; ours by their short names."""
    tops = {name.partition(".")[0] for name in names}
    foreign = {top for top in tops if top not in STANDARD | MORE and not top.startswith("_")}
    assert foreign == {"dockyard"}
    return {name.removeprefix("dockyard.") for name in names if name.startswith("dockyard.")}


@pytest.mark.root
def test_run_loads_little(tmp_path: Path) -> None:
    name = f"oci{secrets.token_hex(4)}"
    spec = ociruntime.spec(rootfs.make(tmp_path / "tree"), f"/dockyard-{name}/{name}", ("true",))
    (tmp_path / "config.json").write_text(json.dumps(spec))
    code, names = loaded(tmp_path / "state", "run", "-b", str(tmp_path), name)
    assert code == 0
    ours = check(names)
    for room in ("node.runtime.monitor", "node.runtime.launchpad", "node.runtime.userns",
                 "node.engine", "boot", "cli", "node.runtime.oci.stats"):  # fmt: skip
        assert room not in ours


@pytest.mark.root
@pytest.mark.parametrize("verb", ["state", "kill", "start", "delete", "exec"])
def test_other_verbs_load_no_limits(tmp_path: Path, verb: str) -> None:
    code, names = loaded(tmp_path / "state", verb, "nobody")
    assert code != 0
    assert "node.runtime.cgroups.limits" not in check(names)


@pytest.mark.parametrize("words", [["--version"], ["frob"]])
def test_the_table_of_verbs_loads_none_of_them(tmp_path: Path, words: list[str]) -> None:
    _, names = loaded(tmp_path, *words)
    assert not any(".oci.verbs." in name for name in names)
    assert "dockyard.node.runtime.init" not in names

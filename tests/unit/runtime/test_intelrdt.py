"""Folders of resctrl, on a folder that is none: no machine that tests run on has it mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.linux import mounttable
from dockyard.base.oci.intelrdt import parse_intel_rdt
from dockyard.node.runtime import intelrdt


def enter(base: Path, **document: Any) -> None:
    intelrdt.enter(parse_intel_rdt(document), "container", str(base))


def leave(base: Path, **document: Any) -> None:
    intelrdt.leave(parse_intel_rdt(document), "container", str(base))


# config-linux.md, "IntelRdt": the rules on parameters, one by one
def test_a_class_of_its_own(tmp_path: Path) -> None:
    enter(tmp_path)
    assert (tmp_path / "container/tasks").read_text() == "0\n"
    assert not (tmp_path / "container/schemata").exists()


def test_a_class_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "gold").mkdir()
    enter(tmp_path, closID="gold")
    assert (tmp_path / "gold/tasks").read_text() == "0\n"
    with pytest.raises(DockyardError, match="closID: silver: there is no such folder"):
        enter(tmp_path, closID="silver")


def test_the_root_class(tmp_path: Path) -> None:
    enter(tmp_path, closID="/")
    assert (tmp_path / "tasks").read_text() == "0\n"


def test_lines_in_their_order(tmp_path: Path) -> None:
    enter(tmp_path, closID="gold", schemata=["L2:0=f"], memBwSchema="MB:0=20",
          l3CacheSchema="L3:0=7f0")  # fmt: skip
    assert (tmp_path / "gold/schemata").read_text() == "L3:0=7f0\nMB:0=20\nL2:0=f\n"
    enter(tmp_path, closID="gold", l3CacheSchema="L3:0=7f0")  # what it has
    with pytest.raises(DockyardError, match="is not what it has"):
        enter(tmp_path, closID="gold", l3CacheSchema="L3:0=fff")


def test_monitoring(tmp_path: Path) -> None:
    enter(tmp_path, enableMonitoring=True)
    assert (tmp_path / "container/mon_groups/container/tasks").read_text() == "0\n"


def test_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "gold").mkdir()
    leave(tmp_path, closID="gold")
    assert (tmp_path / "gold").is_dir()
    (tmp_path / "container").mkdir()
    leave(tmp_path)
    assert not (tmp_path / "container").exists()
    leave(tmp_path)


def test_without_resctrl() -> None:
    if not any(row.kind == "resctrl" for row in mounttable.read()):
        with pytest.raises(Unsupported, match="no resctrl is mounted"):
            intelrdt.mounted()

"""More layers than mount(2)'s page of options has room for: built, run, and seen whole."""

import os
import subprocess
from pathlib import Path

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.linux.overlay import open_overlay
from helpers import rootfs
from helpers.machine import Machine, archive
from helpers.tars import file, tar

pytestmark = pytest.mark.root

LAYERS = 300


@pytest.mark.parametrize("count", [3, 129, LAYERS, 500])
def test_layers_are_merged_however_many(tmp_path: Path, count: int) -> None:
    """The kernel's limit is 500 (OVL_MAX_STACK); a page of options ends long before."""
    lower = []
    for number in range(count):
        (folder := tmp_path / f"layer-with-a-long-name-{number}").mkdir()
        (folder / f"f{number}").write_text(str(number))
        lower.append(str(folder))
    for name in ("upper", "work", "at"):
        (tmp_path / name).mkdir()
    places = (str(tmp_path / name) for name in ("upper", "work", "at"))
    fd = open_overlay(lower[::-1], *places)
    try:
        names = {path.name for path in Path(f"/proc/self/fd/{fd}").iterdir()}
        assert names == {f"f{number}" for number in range(count)}
    finally:
        os.close(fd)


def test_too_many_layers_are_refused_with_the_limit(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "at"):
        (tmp_path / name).mkdir()
    places = (str(tmp_path / name) for name in ("upper", "work", "at"))
    with pytest.raises(Invalid, match=r"501 layers.*500"):
        open_overlay([str(tmp_path / "lower")] * 501, *places)


def test_an_image_of_hundreds_of_layers_runs(tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "tree")
    base = subprocess.run(["tar", "-C", tree, "-c", "."], capture_output=True, check=True).stdout
    layers = [base, *(tar(file(f"f{number}")) for number in range(LAYERS - 1))]
    machine = Machine(tmp_path / "root")
    machine.run("image", "load", "-qi", str(archive(tmp_path / "many.tar", *layers)))
    words = ("run", "--rm", "--network", "none", "plain:1", "sh", "-c", "ls -d /f* | wc -l")
    assert machine.run(*words).strip() == str(LAYERS - 1)

"""What `dockyard down --purge` takes away with a cluster that has ended."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dockyard.boot import down, layout

pytestmark = pytest.mark.root


def test_volumes_in_memory_of_pods_that_were_there(tmp_path: Path) -> None:
    root = tmp_path / "data"
    volume = root / "cluster/pods/volumes/1b4e28ba/mem"
    volume.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", volume], check=True)
    try:
        (volume / "f").write_text("x")
        said: list[str] = []
        places = down.down(layout.Layout(root), purge=True, say=said.append)
        assert not root.exists()
        assert [thing for place in places for thing in place.ours] == []
    finally:
        if os.path.ismount(volume):
            subprocess.run(["umount", volume], check=True)

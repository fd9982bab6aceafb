"""A bench for each test; what a build makes in the kernel is gone afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.oci.instance import run_dir
from dockyard.node.network.bridges import BridgeNetworks
from helpers.buildbench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    data = found.base / "data"
    if (data / "node.db").exists():
        BridgeNetworks(str(data)).teardown()
    assert {path.name for path in run_dir(data).iterdir()} <= {"root"}  # no container is left

"""A bench for each test; what a build makes in the kernel is gone afterwards."""

import contextlib
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
    with contextlib.suppress(FileNotFoundError):
        run_dir(data).rmdir()  # it is empty: every container is gone

"""What several of these files need: a cluster that is up, with an image in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.cluster import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Up, with the image ``localhost/busybox:1``; nothing of it is left afterwards."""
    found = Cluster(tmp_path_factory.mktemp("cluster") / "data", tmp_path_factory.mktemp("home"))
    try:
        found.dockyard("image", "bootstrap", "busybox", "-t", "localhost/busybox:1")
        found.up()
        yield found
    finally:
        found.close()

"""One suite for every runtime that is there: where the peers disagree with a test, it is wrong."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import ociruntime, rootfs
from helpers.ociruntime import Oci

ALL = ociruntime.present("dockyard-oci", "runc", "crun")
RUNC_LIKE = ociruntime.present("dockyard-oci", "runc")
"""For what is runc's and not the specification's: messages, tables, verbs that crun lacks."""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The containers' root, for those that do not write to it."""
    made = rootfs.make(tmp_path_factory.mktemp("tree"))
    made.chmod(0o755)
    return made


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that ordinary users reach: pytest's own are root's alone."""
    place = Path(tempfile.mkdtemp(prefix="dockyard-oci-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture(params=ALL)
def oci(request: pytest.FixtureRequest, tmp_path: Path, tree: Path) -> Iterator[Oci]:
    with ociruntime.runtime(request.param, tmp_path, tree) as found:
        yield found


@pytest.fixture(params=RUNC_LIKE)
def runclike(request: pytest.FixtureRequest, tmp_path: Path, tree: Path) -> Iterator[Oci]:
    with ociruntime.runtime(request.param, tmp_path, tree) as found:
        yield found


@pytest.fixture
def ours(tmp_path: Path, tree: Path) -> Iterator[Oci]:
    with ociruntime.runtime("dockyard-oci", tmp_path, tree) as found:
        yield found

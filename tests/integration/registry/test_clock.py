"""A machine whose time jumps while a registry serves, and while it does not (G14)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.base.oci.digest import digest_of
from dockyard.boot.registry import steady
from dockyard.node.image.registry.server import places
from dockyard.node.image.registry.server.collect import Policy, collect
from dockyard.node.image.registry.server.files import Files
from dockyard.node.image.registry.server.names import Repository
from dockyard.node.image.registry.server.quota import Quotas
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Store
from dockyard.node.image.registry.server.uploads import Session, Uploads

APP = Repository("app")
HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
JUMPS = [HOUR, -HOUR, 10 * YEAR, -10 * YEAR]


class Machine:
    """Its time can be set; what it has lived through only grows. Files get the time that is set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lived, self.set = 1000.0, 1_767_225_600.0
        self.start()

    def time(self) -> float:
        return self.set + self.lived

    def monotonic(self) -> float:
        return self.lived

    def start(self) -> None:
        """The registry, or once more after it has ended."""
        if hasattr(self, "driver"):
            self.driver.close()
        self.driver = Files(str(self.root))
        self.store = Store(self.driver, steady(self), Quotas(()))  # type: ignore[arg-type]
        self.uploads = Uploads(self.store, DAY)

    def upload(self) -> Session:
        session = self.uploads.start(APP)
        session.append(b"some")
        os.utime(self.root / session.path, (self.time(), self.time()))
        return session

    def is_open(self, session: Session) -> bool:
        try:
            self.uploads.find(APP, session.identifier)
        except Refusal:
            return False
        return True


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "root")


@pytest.mark.parametrize("jump", JUMPS)
def test_g14_an_upload_expires_by_what_has_passed(machine: Machine, jump: float) -> None:
    session = machine.upload()
    machine.set += jump
    later = machine.upload()
    machine.lived += DAY - 1
    assert machine.uploads.expire() == 0
    machine.lived += 2
    assert machine.uploads.expire() == 2
    assert not machine.is_open(session) and not machine.is_open(later)


@pytest.mark.parametrize("jump", JUMPS)
def test_g14_what_was_just_pushed_is_not_collected(machine: Machine, jump: float) -> None:
    session = machine.upload()
    digest = digest_of(b"some")
    machine.uploads.finish(session, digest)
    machine.set += jump
    policy = Policy(grace=DAY)
    machine.lived += DAY / 2
    assert collect(machine.store, policy).blobs == 0
    machine.lived += DAY
    assert collect(machine.store, policy).blobs == 1
    assert machine.driver.size(places.blob(digest)) is None


@pytest.mark.parametrize("jump", [-HOUR, -10 * YEAR])
def test_g14_uploads_from_the_future_end_after_a_restart_too(machine: Machine, jump: float) -> None:
    """The time was wrong when they came, and was set right while the server was away."""
    session = machine.upload()
    machine.set += jump
    machine.start()
    assert machine.uploads.expire() == 0
    assert machine.is_open(session)
    machine.lived += DAY + HOUR + 1
    assert machine.uploads.expire() == 1


def test_g14_uploads_go_on_ageing_while_the_server_is_away(machine: Machine) -> None:
    machine.upload()
    machine.lived += DAY - 10
    machine.start()
    assert machine.uploads.expire() == 0
    machine.lived += 20
    assert machine.uploads.expire() == 1

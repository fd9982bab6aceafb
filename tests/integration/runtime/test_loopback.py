"""A network namespace of a container's own has a loopback device that is on, as runc leaves it."""

from __future__ import annotations

import pytest

from .conftest import Yard

pytestmark = pytest.mark.root


def test_it_is_on_and_has_its_address(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    shown = box.exec("sh", "-c", "ip -o link show lo; ip -o -4 addr show lo").out
    assert "LOOPBACK,UP" in shown
    assert "127.0.0.1/8" in shown
    assert "1 packets received" in box.exec("ping", "-c", "1", "-W", "5", "127.0.0.1").out

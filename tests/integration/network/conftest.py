"""A machine of its own for each test: a network namespace with an outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.netns import Namespace, World, machine


@pytest.fixture
def world() -> Iterator[World]:
    guests: list[Namespace] = []

    def guest() -> Namespace:
        guests.append(Namespace())
        return guests[-1]

    with machine() as (host, outside):
        try:
            yield World(host, outside, guest)
        finally:
            for each in guests:
                each.close()

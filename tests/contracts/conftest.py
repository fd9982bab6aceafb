"""What the contract suites share: a registry, ours and Debian's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.distribution import Subject, registries


@pytest.fixture(scope="module", params=["ours", "docker-registry"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    yield from registries(request.param, tmp_path_factory)


@pytest.fixture
def registry(running: tuple[str, str]) -> Subject:
    """A repository of its own for each test."""
    return Subject(*running)

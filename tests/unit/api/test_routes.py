"""Targets: what is remembered of them, and what is not."""

from __future__ import annotations

from dockyard.cluster.api import routes


def test_c10_long_targets_are_not_kept() -> None:
    """Four thousand of sixty kilobytes each would be a gigabyte, and anybody may send them."""
    short = b"/api/v1/namespaces/default/pods?limit=5"
    assert routes.parse(short) is routes.parse(short)
    long = b"/api/v1/pods?labelSelector=" + b"a" * routes.LONGEST_REMEMBERED
    assert routes.parse(long) == routes.parse(long)
    assert routes.parse(long) is not routes.parse(long)

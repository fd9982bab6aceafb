"""Times as ``logs`` takes them: stamps, Unix times, and how long ago."""

from __future__ import annotations

import time

import pytest

from dockyard.base.errors import Invalid
from dockyard.cli.moments import moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0.0),
        ("10s", 990.0),
        ("1m30s", 910.0),
        ("1.5m", 910.0),
        ("500ms", 999.5),
        ("1767225600", 1767225600.0),
        ("1767225600.25", 1767225600.25),
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T01:00:00.5+01:00", 1767225600.5),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert moment(text, 1000.0) == seconds


def test_without_a_zone_it_is_local_time() -> None:
    local = time.mktime(time.strptime("2026-01-01", "%Y-%m-%d"))
    assert moment("2026-01-01", 0.0) == local
    assert moment("2026-01-01T00:00:00", 0.0) == local


@pytest.mark.parametrize("text", ["yesterday", "1x", "2026-13-01", "-5m"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Invalid, match="invalid time"):
        moment(text, 0.0)

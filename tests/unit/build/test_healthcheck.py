"""HEALTHCHECK, by the Dockerfile reference: what `docker inspect` shows of the image."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.build.instructions.healthcheck import parse
from dockyard.node.build.parse import parse_dockerfile


def check(text: str) -> dict[str, Any]:
    [line] = parse_dockerfile(f"HEALTHCHECK {text}\n".encode(), "Dockerfile").lines
    return parse(line).check


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("NONE", {"Test": ["NONE"]}),
        ("none", {"Test": ["NONE"]}),
        ("CMD curl -f http://localhost/ || exit 1",
         {"Test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"]}),
        ('CMD ["curl", "-f"]', {"Test": ["CMD", "curl", "-f"]}),
        ("--interval=5m --timeout=3s CMD x",
         {"Test": ["CMD-SHELL", "x"], "Interval": 300_000_000_000, "Timeout": 3_000_000_000}),
        ("--start-period=1m30s --start-interval=500ms --retries=5 CMD x",
         {"Test": ["CMD-SHELL", "x"], "StartPeriod": 90_000_000_000,
          "StartInterval": 500_000_000, "Retries": 5}),
        ("--interval=0 CMD x", {"Test": ["CMD-SHELL", "x"]}),
    ],
)  # fmt: skip
def test_what_it_says(text: str, found: dict[str, Any]) -> None:
    assert check(text) == found


@pytest.mark.parametrize(
    "text",
    ["x", "CMD", "NONE x", "--interval=1s NONE", "--interval=soon CMD x", "--interval=1us CMD x",
     "--retries=-1 CMD x", "--retries=x CMD x", "--retries=99999999999 CMD x",
     "--interval=" + "1h" * 100 + " CMD x"],
)  # fmt: skip
def test_what_it_does_not_take(text: str) -> None:
    with pytest.raises(Invalid):
        check(text)


def test_an_unknown_flag() -> None:
    with pytest.raises(Invalid, match="unknown flag: --speed"):
        check("--speed=1 CMD x")

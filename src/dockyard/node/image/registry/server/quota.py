"""Turns limits by repository into a yes or no before a repository grows.

What counts is what a repository holds: the bytes of its blobs and manifests, each once, though
several repositories may share them on the disk.
"""

from __future__ import annotations

import fnmatch
from typing import NamedTuple

from dockyard.node.image.registry.server.names import Repository
from dockyard.node.image.registry.server.refusal import Refusal


class Quota(NamedTuple):
    """At most so many bytes for each repository whose name fits (``team/*``)."""

    pattern: str
    most: int


class Quotas:
    """The first rule that fits decides; without one there is no limit."""

    def __init__(self, rules: tuple[Quota, ...] = ()) -> None:
        self._rules = rules

    def limit(self, name: Repository) -> int | None:
        """Bytes; None for no limit."""
        for rule in self._rules:
            if fnmatch.fnmatchcase(name, rule.pattern):
                return rule.most
        return None

    def check(self, name: Repository, used: int, more: int) -> None:
        """Refuse what would be too much."""
        most = self.limit(name)
        if most is not None and used + more > most:
            raise Refusal(
                "DENIED",
                f"{name}: quota: {used} bytes are used and {more} more would pass {most}; "
                "delete images, or ask for more",
                {"used": used, "requested": more, "limit": most},
            )

"""Turns a sandbox into one with an address: what the CRI asks of the pod network."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Result(NamedTuple):
    """What ``ADD`` gives: the first address, and its way out."""

    address: str
    gateway: str


class Network(Protocol):
    """A pod network. Synchronous; each call may be repeated."""

    def prepare(self) -> None:
        """What the node needs before the first pod."""

    def add(self, sandbox_id: str, pid: int) -> Result:
        """Connect the network namespace of a sandbox's first process."""

    def delete(self, sandbox_id: str) -> None:
        """Disconnect; an unknown sandbox is fine."""

    def address(self, sandbox_id: str) -> str:
        """A sandbox's address; empty where it has none."""

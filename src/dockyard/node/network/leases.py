"""Turns containers into addresses and ports that nobody else has: rows of node.db.

One transaction a change, so that commands, daemon and agent can ask at once.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockyard.base.errors import Conflict, NotFound

SCHEMA = """
CREATE TABLE IF NOT EXISTS networks (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, subnet TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS leases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, holder TEXT NOT NULL UNIQUE, network TEXT NOT NULL,
    address TEXT NOT NULL, ports TEXT NOT NULL, UNIQUE (network, address));
"""
BUSY_SECONDS = 20.0


class Port(NamedTuple):
    """A published port of a lease."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


class Lease(NamedTuple):
    """What one container holds."""

    number: int
    """Names its link; never used twice."""
    holder: str
    network: str
    address: str
    ports: tuple[Port, ...]


class NetworkRow(NamedTuple):
    """A network: its bridge is named by its number."""

    number: int
    name: str
    subnet: str


class Leases:
    """Networks and leases of one data root."""

    def __init__(self, data_root: str) -> None:
        self._folder = data_root

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        os.makedirs(self._folder, 0o711, exist_ok=True)
        path = os.path.join(self._folder, "node.db")
        connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()  # what was not committed is rolled back

    def network(self, name: str) -> NetworkRow | None:
        """A network by name."""
        with self._open() as connection:
            row = connection.execute("SELECT * FROM networks WHERE name = ?", (name,)).fetchone()
        return NetworkRow(*row) if row else None

    def networks(self) -> list[NetworkRow]:
        """Every network, the oldest first."""
        with self._open() as connection:
            rows = connection.execute("SELECT * FROM networks ORDER BY number").fetchall()
        return [NetworkRow(*row) for row in rows]

    def add_network(self, name: str, subnet: str) -> NetworkRow:
        """A new network; one of that name that came meanwhile is returned instead."""
        with self._open() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO networks (name, subnet) VALUES (?, ?)", (name, subnet)
            )
            row = connection.execute("SELECT * FROM networks WHERE name = ?", (name,)).fetchone()
        return NetworkRow(*row)

    def remove_network(self, name: str) -> NetworkRow:
        """Forget a network that no container is on."""
        with self._open() as connection:
            row = connection.execute("SELECT * FROM networks WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise NotFound(f"network {name} not found")
            used = connection.execute(
                "SELECT count(*) FROM leases WHERE network = ?", (name,)
            ).fetchone()[0]
            if used:
                raise Conflict(f"error while removing network: network {name} has active endpoints")
            connection.execute("DELETE FROM networks WHERE name = ?", (name,))
        return NetworkRow(*row)

    def take(
        self, holder: str, network: str, subnet: str, first: int, ports: Iterable[Port]
    ) -> Lease:
        """The lowest free address from the ``first``-th on, and the ports asked for.

        Raises :class:`Conflict` when the block is used up or a port is taken.
        """
        wanted = tuple(ports)
        with self._open() as connection:
            taken = {
                row[0]
                for row in connection.execute(
                    "SELECT address FROM leases WHERE network = ?", (network,)
                )
            }
            for (text,) in connection.execute("SELECT ports FROM leases WHERE ports != '[]'"):
                for held in map(Port._make, json.loads(text)):
                    for port in wanted:
                        _refuse_clash(port, held)
            address = _free(subnet, first, taken)
            cursor = connection.execute(
                "INSERT INTO leases (holder, network, address, ports) VALUES (?, ?, ?, ?)",
                (holder, network, address, json.dumps(wanted)),
            )
            return Lease(int(cursor.lastrowid or 0), holder, network, address, wanted)

    def find(self, holder: str) -> Lease | None:
        """What a container holds."""
        with self._open() as connection:
            row = connection.execute("SELECT * FROM leases WHERE holder = ?", (holder,)).fetchone()
        return _lease(row) if row else None

    def all(self) -> list[Lease]:
        """Every lease."""
        with self._open() as connection:
            return [_lease(row) for row in connection.execute("SELECT * FROM leases")]

    def release(self, holder: str) -> Lease | None:
        """Give back what a container holds; what it was."""
        with self._open() as connection:
            row = connection.execute("SELECT * FROM leases WHERE holder = ?", (holder,)).fetchone()
            connection.execute("DELETE FROM leases WHERE holder = ?", (holder,))
        return _lease(row) if row else None


def _lease(row: tuple[int, str, str, str, str]) -> Lease:
    return Lease(*row[:4], tuple(map(Port._make, json.loads(row[4]))))


def _refuse_clash(port: Port, held: Port) -> None:
    same_address = port.host_ip == held.host_ip or "0.0.0.0" in (port.host_ip, held.host_ip)  # noqa: S104
    if (port.protocol, port.host_port) == (held.protocol, held.host_port) and same_address:
        raise Conflict(
            f"Bind for {port.host_ip}:{port.host_port} failed: port is already allocated"
        )


def _free(subnet: str, first: int, taken: set[str]) -> str:
    block = ipaddress.ip_network(subnet)
    for number in range(first, block.num_addresses - 1):
        address = str(block[number])
        if address not in taken:
            return address
    raise Conflict(f"network: {subnet}: no address is left; remove containers")

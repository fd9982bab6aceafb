"""Turns containers into addresses and ports that nobody else has: rows of node.db.

One transaction a change, so that commands, daemon and agent can ask at once. What a lease needs to
know of others (addresses and ports that are taken) is read in the transaction that makes it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dockyard.base import sqlite
from dockyard.base.errors import Conflict, NotFound
from dockyard.node.network import blocks

SCHEMA = """
CREATE TABLE IF NOT EXISTS networks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, subnet TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS leases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, holder TEXT NOT NULL, network TEXT NOT NULL,
    address TEXT NOT NULL, ports TEXT NOT NULL,
    UNIQUE (holder, network), UNIQUE (network, address));
CREATE TABLE IF NOT EXISTS latest_addresses (network TEXT PRIMARY KEY, address TEXT NOT NULL);
"""
BUSY_SECONDS = 20.0
DURABLE, QUICK = "FULL", "NORMAL"
"""A network outlives a power failure; a lease need not: its container does not either."""


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
    """A network: its bridge is named by its number, which is never used twice."""

    number: int
    name: str
    subnet: str


Chooser = Callable[[tuple[Port, ...]], tuple[Port, ...]]
"""Called with all ports that are held: the ports of the new lease."""


class Leases:
    """Networks and leases of one data root."""

    def __init__(self, data_root: str) -> None:
        self._folder = data_root

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite.Connection]:
        path = os.path.join(self._folder, "node.db")
        fresh = not os.path.exists(path)
        os.makedirs(self._folder, 0o711, exist_ok=True)
        connection = sqlite.connect(path, BUSY_SECONDS, isolation_level=None)
        try:
            if fresh:
                sqlite.write_ahead(connection, BUSY_SECONDS)
            connection.executescript(SCHEMA)
            yield connection
        finally:
            connection.close()  # what was not committed is rolled back

    @contextlib.contextmanager
    def _change(self, how: str) -> Iterator[sqlite.Connection]:
        with self._read() as connection:
            connection.execute(f"PRAGMA synchronous={how}")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    # networks

    def network(self, name: str) -> NetworkRow | None:
        """A network by name."""
        with self._read() as connection:
            return _network(connection, name)

    def networks(self) -> list[NetworkRow]:
        """Every network, the oldest first."""
        with self._read() as connection:
            return _networks(connection)

    def add_network(self, name: str, choose: Callable[[list[str]], str]) -> NetworkRow:
        """A new network. ``choose`` is called with the blocks of the others.

        Raises :class:`Conflict` if there is one of that name.
        """
        with self._change(DURABLE) as connection:
            if _network(connection, name):
                raise Conflict(f"network with name {name} already exists")
            subnet = choose([row.subnet for row in _networks(connection)])
            cursor = connection.execute(
                "INSERT INTO networks (name, subnet) VALUES (?, ?)", (name, subnet)
            )
            return NetworkRow(int(cursor.lastrowid or 0), name, subnet)

    def remove_network(self, name: str) -> NetworkRow:
        """Forget a network that no container is on."""
        with self._change(DURABLE) as connection:
            row = _network(connection, name)
            if row is None:
                raise NotFound(f"network {name} not found")
            holders = connection.execute(
                "SELECT holder FROM leases WHERE network = ?", (name,)
            ).fetchall()
            if holders:
                raise Conflict(
                    f"error while removing network: network {name} has active endpoints "
                    f"({', '.join(sorted(holder[:12] for (holder,) in holders)[:5])})"
                )
            connection.execute("DELETE FROM networks WHERE name = ?", (name,))
            return row

    # leases

    def take(
        self,
        holder: str,
        network: str,
        subnet: str,
        first: int,
        choose: Chooser = lambda held: (),
        *,
        in_turn: bool = False,
        wanted: str = "",
    ) -> Lease:
        """A free address from the ``first``-th of the block on, and the ports that are chosen.

        The lowest one, or ``in_turn``: the next after the latest one, so that an address rests
        before it is somebody else's; or the one that is ``wanted``. Raises :class:`Conflict` when
        the block is used up, or that one taken.
        """
        with self._change(QUICK) as connection:
            taken = {
                row[0]
                for row in connection.execute(
                    "SELECT address FROM leases WHERE network = ?", (network,)
                )
            }
            latest = connection.execute(
                "SELECT address FROM latest_addresses WHERE network = ?", (network,)
            ).fetchone()
            after = latest[0] if latest and in_turn else ""
            if wanted:
                address = blocks.wanted_address(subnet, first, taken, wanted)
            else:
                address = blocks.free_address(subnet, first, taken, after)
            ports = choose(_ports(connection))
            cursor = connection.execute(
                "INSERT INTO leases (holder, network, address, ports) VALUES (?, ?, ?, ?)",
                (holder, network, address, json.dumps(ports)),
            )
            if in_turn:
                connection.execute(
                    "INSERT OR REPLACE INTO latest_addresses VALUES (?, ?)", (network, address)
                )
            return Lease(int(cursor.lastrowid or 0), holder, network, address, ports)

    def find(self, holder: str) -> Lease | None:
        """What a container holds; of several the oldest."""
        return next(iter(self.of(holder)), None)

    def of(self, holder: str) -> list[Lease]:
        """All that a container holds."""
        with self._read() as connection:
            return _leases(connection, "WHERE holder = ?", holder)

    def all(self) -> list[Lease]:
        """Every lease."""
        with self._read() as connection:
            return _leases(connection)

    def release(self, numbers: Iterable[int]) -> None:
        """Give leases back."""
        with self._change(QUICK) as connection:
            connection.executemany(
                "DELETE FROM leases WHERE number = ?", [(number,) for number in numbers]
            )


def _network(connection: sqlite.Connection, name: str) -> NetworkRow | None:
    known = name.encode(errors="replace").decode()  # bytes that are no text are no name
    row = connection.execute(
        "SELECT number, name, subnet FROM networks WHERE name = ?", (known,)
    ).fetchone()
    return NetworkRow(*row) if row else None


def _networks(connection: sqlite.Connection) -> list[NetworkRow]:
    rows = connection.execute("SELECT number, name, subnet FROM networks ORDER BY number")
    return [NetworkRow(*row) for row in rows]


def _leases(connection: sqlite.Connection, where: str = "", *values: str) -> list[Lease]:
    rows = connection.execute(
        f"SELECT number, holder, network, address, ports FROM leases {where} ORDER BY number",  # noqa: S608 - where is ours
        values,
    )
    return [
        Lease(number, holder, network, address, tuple(map(Port._make, json.loads(ports))))
        for number, holder, network, address, ports in rows
    ]


def _ports(connection: sqlite.Connection) -> tuple[Port, ...]:
    rows = connection.execute("SELECT ports FROM leases WHERE ports != '[]'")
    return tuple(Port._make(port) for (text,) in rows for port in json.loads(text))

"""What a registry is made of: its parts in one place, for the routes' handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.aio.clock import Clock
from dockyard.node.image.registry.server.auth import Auth
from dockyard.node.image.registry.server.memory import Memory
from dockyard.node.image.registry.server.metrics import Metrics
from dockyard.node.image.registry.server.store import Store
from dockyard.node.image.registry.server.uploads import Uploads

if TYPE_CHECKING:
    from dockyard.node.image.registry.server.through import Through

LARGEST_BLOB = 100 << 30


class Rules(NamedTuple):
    """What a server allows."""

    largest_blob: int = LARGEST_BLOB
    deletes: bool = True
    sparse: bool = False
    """Manifests may name what is not here."""
    log: bool = False
    """Each request gets a line."""


class Registry(NamedTuple):
    """The parts."""

    clock: Clock
    store: Store
    uploads: Uploads
    auth: Auth
    memory: Memory
    metrics: Metrics
    rules: Rules = Rules()
    through: Through | None = None
    """A cache: where what is not here comes from; nobody pushes to it."""

"""What an engine is made of: handed to each verb."""

from __future__ import annotations

from dockyard.base import contexts
from dockyard.base.errors import Unavailable
from dockyard.base.typed import NamedTuple
from dockyard.interfaces.ociruntime import Runtime
from dockyard.node.engine import event
from dockyard.node.engine.config import Container
from dockyard.node.engine.database import Database
from dockyard.node.engine.locks import Locks
from dockyard.node.engine.mounts import Volumes
from dockyard.node.engine.network import Network
from dockyard.node.engine.places import Places
from dockyard.node.engine.roots import Images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Parts(NamedTuple):
    """The rooms below, and what is the engine's own."""

    places: Places
    database: Database
    locks: Locks
    runtime: Runtime
    network: Network
    images: Images
    volumes: Volumes
    chance: Callable[[int], int]
    """A number from 0 up to, but not including, the one given."""
    clock: Callable[[], float]
    """Seconds since the epoch."""
    aftermath: tuple[str, ...] = ()
    """The beginning of a command that a monitor executes; ``ended`` and the container's id
    follow. Empty: nobody can."""

    def tell(self, container: Container, action: str, **more: str) -> None:
        """Write down that something has happened to a container. A full disk undoes nothing of it,
        and nobody's signal fails for it."""
        with contexts.suppress(Unavailable):
            self.database.tell(event.of(container, action, self.clock(), **more))

"""What all workers of a kubelet have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockyard.base.aio.clock import Clock
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.announcer import Announcer
from dockyard.cluster.kubelet.probing import Prober
from dockyard.cluster.kubelet.pulling import Puller
from dockyard.cluster.kubelet.references import References
from dockyard.cluster.kubelet.sandboxconfig import Dns, log_folder
from dockyard.cluster.kubelet.starting import Starter
from dockyard.cluster.kubelet.statusmanager import StatusManager
from dockyard.cluster.kubelet.stopping import Stopper
from dockyard.cluster.kubelet.volumes.removal import remove_tree
from dockyard.interfaces.cri import RuntimeService


@dataclass(frozen=True, slots=True)
class Shared:
    """Handed to every worker."""

    runtime: RuntimeService
    clock: Clock
    announcer: Announcer
    statuses: StatusManager
    references: References
    puller: Puller
    prober: Prober
    starter: Starter
    stopper: Stopper
    services: Iterable[Object]
    pods_folder: Path
    """Logs (``<namespace>_<name>_<uid>/``) and volumes (``volumes/<uid>/``) of pods."""
    memory_folder: Path
    """In memory: for what must not be written to a disk."""
    node: str
    host_ip: str
    labels: Mapping[str, str]
    capacity: Mapping[str, str]
    """``cpu`` and ``memory`` of the node, as quantities."""
    node_memory: int
    dns: Dns
    admitted: dict[str, Object] = field(default_factory=dict)
    """By uid: the pods that this node runs, or will."""

    def volumes_of(self, pod: Object) -> Path:
        """The folder of a pod's volumes."""
        return self.pods_folder / "volumes" / str(pod["metadata"]["uid"])

    def secrets_of(self, pod: Object) -> Path:
        """The same, in memory."""
        return self.memory_folder / str(pod["metadata"]["uid"])

    def remove_folders(self, pod: Object) -> None:
        """A pod's logs."""
        remove_tree(self.pods_folder / log_folder(pod))

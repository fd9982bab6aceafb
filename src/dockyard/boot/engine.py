"""Builds the engine of a data root: the place where runtime, networks, images and volumes meet."""

from __future__ import annotations

import os

from dockyard.node.engine.config import PortSpec
from dockyard.node.engine.engine import Engine
from dockyard.node.engine.network import Attachment
from dockyard.node.image.store import ImageStore
from dockyard.node.runtime.launcher import ForkLauncher, Launcher
from dockyard.node.runtime.local import LocalRuntime
from dockyard.node.volume.local import LocalVolumes


def build_engine(data_root: str | os.PathLike[str], launcher: Launcher | None = None) -> Engine:
    """An engine. Without a launcher each container's monitor is a fork of this process."""
    root = os.fspath(data_root)
    runtime = LocalRuntime(launcher or ForkLauncher(os.path.join(root, "cache")))
    return Engine(root, runtime, EngineNetwork(root), ImageStore(root), LocalVolumes(root))


class EngineNetwork:
    """Bridge networks as the engine asks for them; loaded when a container first needs one."""

    def __init__(self, data_root: str) -> None:
        self._data_root = data_root

    def attach(
        self, container_id: str, pid: int, network: str, ports: tuple[PortSpec, ...]
    ) -> Attachment:
        from dockyard.node.network.bridges import BridgeNetworks
        from dockyard.node.network.leases import Port

        wanted = [Port(*port) for port in ports]
        found = BridgeNetworks(self._data_root).attach(container_id, pid, network, wanted)
        published = tuple(PortSpec(*port) for port in found.ports)
        return Attachment(found.address, found.gateway, published)

    def detach(self, container_id: str) -> None:
        from dockyard.node.network.bridges import BridgeNetworks

        BridgeNetworks(self._data_root).detach(container_id)

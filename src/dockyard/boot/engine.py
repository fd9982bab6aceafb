"""Builds the engine of a data root: the place where runtime, networks, images and volumes meet."""

from __future__ import annotations

import os
import sys

from dockyard.base.errors import Unsupported
from dockyard.node.engine.config import PortSpec
from dockyard.node.engine.engine import Engine
from dockyard.node.engine.network import Attachment
from dockyard.node.runtime.launcher import ForkLauncher, Launcher
from dockyard.node.runtime.local import LocalRuntime
from dockyard.node.volume.local import LocalVolumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.node.image.image import Image
    from dockyard.node.image.store import ImageStore
    from dockyard.node.network.bridges import BridgeNetworks


def build_engine(data_root: str | os.PathLike[str], launcher: Launcher | None = None) -> Engine:
    """An engine. Without a launcher each container's monitor is a fork of this process."""
    root = os.fspath(data_root)
    runtime = LocalRuntime(launcher or ForkLauncher(os.path.join(root, "cache")))
    network = EngineNetwork(root) if os.geteuid() == 0 else UserNetwork(root)
    aftermath = (sys.executable, "-P", "-m", "dockyard.boot.aftermath", root)
    return Engine(root, runtime, network, EngineImages(root), LocalVolumes(root),
                  aftermath=aftermath)  # fmt: skip


class EngineNetwork:
    """Bridge networks as the engine asks for them; loaded when a container first needs one."""

    def __init__(self, data_root: str) -> None:
        self._data_root = data_root

    def _networks(self) -> BridgeNetworks:
        from dockyard.node.network.bridges import BridgeNetworks

        return BridgeNetworks(self._data_root)

    def attach(
        self,
        container_id: str,
        pid: int,
        network: str,
        ports: tuple[PortSpec, ...],
        address: str = "",
        mac: str = "",
    ) -> Attachment:
        from dockyard.node.network.leases import Port

        wanted = [Port(*port) for port in ports]
        found = self._networks().attach(container_id, pid, network, wanted, address, mac)
        published = tuple(PortSpec(*port) for port in found.ports)
        return Attachment(found.address, found.gateway, published, found.mac, found.prefix)

    def detach(self, container_id: str) -> None:
        self._networks().detach(container_id)


class UserNetwork:
    """What an ordinary user's container has for a network; loaded when one first needs it."""

    def __init__(self, data_root: str) -> None:
        self._data_root = data_root

    def attach(
        self,
        container_id: str,
        pid: int,
        network: str,
        ports: tuple[PortSpec, ...],
        address: str = "",
        mac: str = "",
    ) -> Attachment:
        from dockyard.node.network import usermode

        if mac:
            raise Unsupported("--mac-address: an ordinary user's container has no interface of the "
                              "machine's")  # fmt: skip
        if address:
            raise Unsupported("--ip: an ordinary user's container has no address of its own")
        usermode.attach(
            self._data_root,
            container_id,
            pid,
            network,
            [(port.container_port, port.protocol, port.host_ip, port.host_port) for port in ports],
        )
        return Attachment("", "", ports)

    def detach(self, container_id: str) -> None:
        from dockyard.node.network import usermode

        usermode.detach(self._data_root, container_id)


class EngineImages:
    """The image store as the engine asks for it; loaded when a container first has an image."""

    def __init__(self, data_root: str) -> None:
        self._data_root = data_root
        self._store: ImageStore | None = None
        self._leased: Image | None = None
        """The one that a container is being made of is asked for once more, by its id."""

    def _images(self) -> ImageStore:
        if self._store is None:
            from dockyard.node.image.store import ImageStore

            self._store = ImageStore(self._data_root)
        return self._store

    def resolve(self, reference: str) -> Image:
        leased, self._leased = self._leased, None
        return leased if leased and reference == leased.id else self._images().resolve(reference)

    def mount_layers(self, image: Image) -> list[str]:
        return self._images().mount_layers(image)

    def lease(self, image: Image, holder: str, *, lasting: bool) -> None:
        self._images().lease(image, holder, lasting=lasting)
        self._leased = image

    def release(self, holder: str) -> None:
        self._images().release(holder)

    def commit(
        self,
        image_id: str,
        fill: Callable[[str], None],
        change: Callable[[ImageConfig], ImageConfig],
        name: str,
    ) -> str:
        from dockyard.node.image.branch import branch

        store = self._images()
        found = branch(store, store.resolve(image_id), fill, change, name or None)
        return str(found.id)

    def commit_root(
        self, tar: Iterable[bytes], change: Callable[[ImageConfig], ImageConfig], name: str
    ) -> str:
        from dockyard.base.oci.imageconfig import ImageConfig
        from dockyard.base.oci.platform import host_platform

        config = change(ImageConfig(host_platform()))
        return str(self._images().import_chunks(tar, name or None, config=config).id)

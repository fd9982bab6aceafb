"""Turns a running cluster into a stopped one, and with ``purge`` into nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dockyard.base.aio.now import monotonic, pause
from dockyard.base.errors import Conflict, DockyardError, Unavailable
from dockyard.base.linux import cgroupfs, mounttable
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.base.oci.instance import RUN_ROOT, instance_id
from dockyard.boot import leftovers, supervisor
from dockyard.boot.engine import build_engine
from dockyard.boot.layout import Layout
from dockyard.boot.leftovers import Place

STOP_SECONDS = 30.0
CONTAINER_SECONDS, PURGE_SECONDS = 10.0, 2.0
"""Grace of containers; less where what they could still write goes with them."""
FOREIGN = ("cli", "docker")


def down(place: Layout, *, purge: bool, say: Callable[[str], None]) -> list[Place]:
    """Stop everything of the cluster; with ``purge`` remove its data, and look what is left."""
    if purge:
        _refuse_to_purge_others(place)
    _stop_supervisor(place, say)
    _stop_containers(place, say, everything=purge)
    _remove_networks(place)
    if not purge:
        return []
    _remove_files(place)
    say("data removed")
    return leftovers.look(place.data_root, Nft().tables)


def _refuse_to_purge_others(place: Layout) -> None:
    """A folder that is no data root of ours is never removed."""
    if place.data_root.exists() and any(place.data_root.iterdir()):
        ours = (place.cluster, place.data_root / "node.db", place.data_root / "images")
        if not any(path.exists() for path in ours):
            raise Conflict(f"down: {place.data_root}: is no data root of Dockyard's")


def _stop_supervisor(place: Layout, say: Callable[[str], None]) -> None:
    pid = supervisor.holder(str(place.lock))
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = monotonic() + STOP_SECONDS
    while supervisor.holder(str(place.lock)) is not None:
        if monotonic() > deadline:
            raise Unavailable(f"down: pid {pid}: does not end; see {place.logs}")
        pause(0.02)
    say("control plane and node stopped")


def _stop_containers(place: Layout, say: Callable[[str], None], *, everything: bool) -> None:
    """The pods' containers, and with ``everything`` those of other owners too."""
    if not (place.data_root / "node.db").exists():
        return
    engine = build_engine(place.data_root)
    found = [each for each in engine.list() if everything or each.owner not in FOREIGN]
    running = [each for each in found if each.status == "running"]

    grace = PURGE_SECONDS if everything else CONTAINER_SECONDS

    def stop(container_id: str) -> None:
        with contextlib.suppress(DockyardError):
            engine.stop(container_id, grace)

    # sandboxes (they pause at once) last: their containers still need the network
    pods = [each for each in running if not each.config.pause]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(stop, [each.id for each in pods]))
        list(threads.map(stop, [each.id for each in running if each.config.pause]))
        list(threads.map(lambda each: engine.remove(each.id, force=True), found))
    if found:
        say(f"{len(found)} containers removed")


def _remove_networks(place: Layout) -> None:
    """Every link and table of the instance: names carry its id."""
    instance = instance_id(place.data_root)
    with Netlink() as host:
        for link in host.links():
            if link.name.startswith((f"dy{instance}p", f"dy{instance}s")):
                host.delete_link(link.name)
    nft = Nft()
    for suffix in ("_pods", "_services"):
        nft.delete_table("inet", f"dockyard_{instance}{suffix}")


def _remove_files(place: Layout) -> None:
    from dockyard.node.network.bridges import BridgeNetworks

    if (place.data_root / "node.db").exists():
        BridgeNetworks(str(place.data_root)).teardown()
    instance = instance_id(place.data_root)
    for group in (f"dockyard/{instance}/monitors", f"dockyard/{instance}", "dockyard"):
        for folder in cgroupfs.folders(group):
            with contextlib.suppress(OSError):  # another instance's groups are still in it
                os.rmdir(folder)
    # of which no row tells any more; volumes in memory of pods that were there
    for holds_mounts in (place.data_root / "containers", place.cluster):
        mounttable.unmount_below(str(holds_mounts))
    for folder in (str(place.data_root), f"{RUN_ROOT}/{instance}"):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

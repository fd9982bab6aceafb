"""Builds the node agent and runs it: engine, CRI, kubelet, proxy, DNS and ingress."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from dockyard.base.aio.clock import Clock, RealClock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import DockyardError, Unavailable
from dockyard.base.linux import oomscore
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.base.wire.http import Connection
from dockyard.boot import claims, credentials, layout
from dockyard.boot.engine import build_engine
from dockyard.boot.layout import Layout, Settings
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.http import HttpTransport
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.dns.server import DnsServer
from dockyard.cluster.ingress.proxy import IngressProxy
from dockyard.cluster.kubelet.kubelet import Kubelet
from dockyard.cluster.kubelet.node import NodeStatus
from dockyard.cluster.kubelet.sandboxconfig import Dns
from dockyard.cluster.kubelet.server import KubeletServer
from dockyard.cluster.proxy.proxy import Proxy
from dockyard.interfaces.cri import DnsConfig
from dockyard.node.cri.images import CriImages
from dockyard.node.cri.runtime import CriRuntime
from dockyard.node.image.store import ImageStore
from dockyard.node.network.routed import RoutedPods
from dockyard.node.runtime.launcher import LaunchpadLauncher

log = logging.getLogger("dockyard.agent")
WAIT_SECONDS = 30.0
API_SECONDS = 10.0
RESOLV_CONF = Path("/etc/resolv.conf")


async def serve(place: Layout, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; containers go on."""
    clock = RealClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    launcher = LaunchpadLauncher(str(place.data_root / "cache"))
    launcher.start()
    engine = build_engine(place.data_root, launcher)
    cidrs = (settings.pod_cidr, settings.service_cidr)
    network = RoutedPods(str(place.data_root), settings.pod_cidr, cidrs)
    runtime = CriRuntime(engine, network, str(place.cluster / "sandboxes"), clock)
    images = CriImages(ImageStore(place.data_root), str(place.images), clock)
    add_service_addresses(settings, place.instance)
    await runtime.start()
    await _wait_for_credentials(place, clock)
    await _wait_for_api(settings, clock)
    transport = HttpTransport(settings.api_url, credentials.client_context(place, "node"), clock)
    client = Client(transport)
    informers = Informers(client, clock)
    node_dns = node_resolvers(RESOLV_CONF)
    dns = Dns(settings.dns_address, settings.domain, node_dns)
    kubelet = Kubelet(
        client, informers, runtime, images, clock,
        node=settings.node_name, address=settings.node_address, dns=dns, pods_folder=place.pods,
        memory_folder=place.memory,
    )  # fmt: skip
    proxy = Proxy(informers, Nft(), place.instance, clock)
    names = DnsServer(informers, settings.domain, node_dns.servers, clock)
    ingress = IngressProxy(informers, client, clock, settings.node_address)
    node = NodeStatus(
        client, clock, runtime, images,
        name=settings.node_name, address=settings.node_address, port=settings.kubelet_port,
        release=settings.release, folder=place.data_root,
    )  # fmt: skip
    handler = KubeletServer(kubelet.pod, runtime, place.pods, clock)
    tls = credentials.server_context(place, "kubelet", require_client=True)
    await loop.create_server(
        lambda: Connection(handler, clock), "0.0.0.0", settings.kubelet_port, ssl=tls  # noqa: S104
    )  # fmt: skip
    async with Tasks() as tasks:
        informers.start(tasks)
        tasks.start(kubelet.run(), name="kubelet", essential=True)
        tasks.start(proxy.run(), name="proxy", essential=True)
        tasks.start(names.serve(settings.dns_address, 53), name="dns", essential=True)
        tasks.start(ingress.serve("0.0.0.0", settings.ingress_port), name="ingress",  # noqa: S104
                    essential=True)  # fmt: skip
        await _register(node, clock)
        tasks.start(keep(node.renew, clock, "lease"), name="lease", essential=True)
        tasks.start(keep(node.run, clock, "node status"), name="node status", essential=True)
        gc.collect()
        gc.freeze()
        await stop.wait()
    await runtime.close()
    await transport.close()
    launcher.close()


async def keep(work: Callable[[], Awaitable[None]], clock: Clock, name: str) -> None:
    """Do it again when the API did not answer."""
    while True:
        try:
            await work()
        except (DockyardError, OSError) as error:
            log.warning("%s: %s", name, error)
            await clock.sleep(1.0)


async def _register(node: NodeStatus, clock: Clock) -> None:
    """As soon as the API answers."""
    while True:
        try:
            await node.register()
        except (DockyardError, OSError) as error:
            log.info("register: %s", error)
            await clock.sleep(0.05)
        else:
            return


async def _wait_for_credentials(place: Layout, clock: Clock) -> None:
    deadline = clock.monotonic() + WAIT_SECONDS
    while not place.kubeconfig.exists():
        if clock.monotonic() > deadline:
            raise Unavailable(f"agent: {place.pki}: the control plane made no certificates")
        await clock.sleep(0.02)


async def _wait_for_api(settings: Settings, clock: Clock) -> None:
    """Both start together: a moment's patience spares everybody a failed first try."""
    deadline = clock.monotonic() + API_SECONDS
    while clock.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", settings.api_port)
        except OSError:
            await clock.sleep(0.02)
        else:
            writer.close()
            return


def service_link(instance: str) -> str:
    """The link that holds the addresses that the node itself answers on: a bridge without ports,
    since not every kernel has dummy links."""
    return f"dy{instance}s0"


def add_service_addresses(settings: Settings, instance: str) -> None:
    """The DNS server's address is this node's, so that it can be listened on."""
    name = service_link(instance)
    with Netlink() as host:
        if name not in {link.name for link in host.links()}:
            host.add_link(name, "bridge", claims.alias(instance, settings))
        index = host.index(name)
        host.add_address(index, settings.dns_address, 32)
        host.set_link(index, up=True)


def node_resolvers(path: Path) -> DnsConfig:
    """The node's own resolvers; none of its loopback, which no pod can reach."""
    servers, searches = [], []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and _is_address(words[1]):
            servers.append(words[1])
        elif words[:1] == ["search"]:
            searches = words[1:]
    return DnsConfig(tuple(servers), tuple(searches))


def _is_address(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        return False
    return True


def main() -> int:
    """The process that the supervisor runs: ``--data-dir DIR``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    place = Layout(parser.parse_args().data_dir)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )  # fmt: skip
    settings = layout.load(place)
    if settings is None:
        print(f"agent: {place.config}: is missing; start with `dockyard up`", file=sys.stderr)
        return 1
    if not oomscore.lower(oomscore.NODE):
        log.warning("%s", oomscore.LACKING)
    try:
        uvloop.run(serve(place, settings))
    except DockyardError as error:
        print(f"agent: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

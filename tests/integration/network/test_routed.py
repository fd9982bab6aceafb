"""The pod network in a kernel: one address a pod, routed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.base.errors import Conflict, Invalid, NotFound
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.base.oci.instance import instance_id
from dockyard.interfaces.cni import Ip, PortMapping, Route
from dockyard.node.network.bridges import BridgeNetworks
from dockyard.node.network.routed import RoutedPods
from helpers.netns import Namespace, World, is_cut_off, reached

pytestmark = pytest.mark.root
HOME, MACHINE, OUTSIDE = "127.0.0.1", "198.51.100.2", "198.51.100.1"
BLOCKS = ("10.244.0.0/16", "10.96.0.0/16")


def pods(root: Path, cidr: str = BLOCKS[0]) -> RoutedPods:
    made = RoutedPods(str(root), cidr, BLOCKS)
    made.prepare()
    return made


def test_a_pod_is_reached_and_reaches(world: World, tmp_path: Path) -> None:
    network = pods(tmp_path)
    first, second = world.guest(), world.guest()
    made = network.add("a" * 64, first.pid)
    other = network.add("b" * 64, second.pid)
    assert (made.address, made.gateway) == ("10.244.0.2", "169.254.1.1")
    assert made.ips == (Ip("10.244.0.2/32", "169.254.1.1", 1),)
    assert made.routes == (Route("0.0.0.0/0", "169.254.1.1"),)
    assert [each.mtu for each in made.interfaces] == [1400, 1400]
    assert network.address("a" * 64) == "10.244.0.2"
    with second.listen(80) as server:
        assert reached(first, other.address, 80, server) == made.address, "its own address"
        assert reached(world.host, other.address, 80, server) == MACHINE
        assert reached(second, other.address, 80, server) == other.address, "itself"
    with world.outside.listen(80) as server:
        assert reached(first, OUTSIDE, 80, server) == MACHINE, "masqueraded"
    with world.host.listen(81) as server:
        assert reached(first, MACHINE, 81, server) == made.address, "the node sees the pod"
    network.check("a" * 64, first.pid)


def test_a_pod_that_was_connected_keeps_its_address(world: World, tmp_path: Path) -> None:
    network, pod = pods(tmp_path), world.guest()
    first = network.add("a" * 64, pod.pid)
    again = network.add("a" * 64, pod.pid)
    assert first.ips == again.ips
    with pod.listen(80) as server:
        assert reached(world.host, again.address, 80, server)


def test_an_address_rests_before_it_is_somebody_elses(world: World, tmp_path: Path) -> None:
    network = pods(tmp_path, "10.244.0.0/29")
    seen = []
    for number in range(6):
        guest = world.guest()
        seen.append(network.add(f"{number}" * 64, guest.pid).address)
        network.delete(f"{number}" * 64)
    assert seen == [f"10.244.0.{last}" for last in (2, 3, 4, 5, 6, 2)]


def test_a_block_that_is_used_up(world: World, tmp_path: Path) -> None:
    network = pods(tmp_path, "10.244.0.0/30")
    network.add("a" * 64, world.guest().pid)
    with pytest.raises(Conflict, match=r"10\.244\.0\.0/30: no address is left"):
        network.add("b" * 64, world.guest().pid)


def test_check_names_what_is_missing(world: World, tmp_path: Path) -> None:
    network, pod = pods(tmp_path), world.guest()
    with pytest.raises(NotFound, match="holds no address"):
        network.check("a" * 64, pod.pid)
    made = network.add("a" * 64, pod.pid)
    with Netlink() as host:
        link = made.interfaces[0].name
        host.delete_route(made.address, 32, host.index(link))
        with pytest.raises(NotFound, match=r"route to 10\.244\.0\.2 is missing"):
            network.check("a" * 64, pod.pid)
        host.delete_link(link)
    with pytest.raises(NotFound, match=f"link {link} is missing"):
        network.check("a" * 64, pod.pid)


def heard(listening: socket.socket, send: Callable[[], object]) -> bytes:
    """A datagram, sent until one arrives: a new link takes a moment to carry the first. What was
    sent more often is dropped."""
    for _ in range(30):
        send()
        listening.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            found = listening.recv(9)
            listening.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while True:
                    listening.recv(9)
            return found
    raise AssertionError("nothing has arrived")


def test_d07_a_pod_cannot_send_as_somebody_else(world: World, tmp_path: Path) -> None:
    network = pods(tmp_path)
    victim, liar, server = world.guest(), world.guest(), world.guest()
    stolen = network.add("a" * 64, victim.pid).address
    network.add("b" * 64, liar.pid)
    target = network.add("c" * 64, server.pid).address
    with liar.netlink() as inside, server.datagrams(9) as listening, liar.datagrams() as honest:
        said = heard(listening, lambda: honest.sendto(b"true", (target, 9)))
        assert said == b"true"
        inside.add_address(inside.index("lo"), stolen, 32)
        with liar.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forged:
            forged.bind((stolen, 0))
            forged.sendto(b"false", (target, 9))
        listening.settimeout(0.3)
        with pytest.raises(TimeoutError):
            listening.recv(9)


def test_d07_a_pod_does_not_reach_the_nodes_loopback(world: World, tmp_path: Path) -> None:
    network, pod = pods(tmp_path), world.guest()
    network.add("a" * 64, pod.pid, (PortMapping(8080, 80),))
    with pod.entered():
        Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")
        with Netlink() as inside:
            inside.delete_address(inside.index("lo"), HOME, 8)
            inside.set_link(inside.index("lo"), up=False)
            inside.add_route("127.0.0.0", 8, inside.index("eth0"), "169.254.1.1", onlink=True)
    with world.host.listen(9000, HOME):
        assert is_cut_off(pod, HOME, 9000)


def test_ports_of_the_node(world: World, tmp_path: Path) -> None:
    network, pod, other = pods(tmp_path), world.guest(), world.guest()
    made = network.add("a" * 64, pod.pid, (PortMapping(8080, 80), PortMapping(5353, 53, "udp")))
    network.add("b" * 64, other.pid)
    with pod.listen(80) as server:
        assert reached(world.outside, MACHINE, 8080, server) == OUTSIDE
        assert reached(world.host, HOME, 8080, server)
        assert reached(pod, MACHINE, 8080, server) == MACHINE
        assert reached(other, MACHINE, 8080, server)
    with pytest.raises(Conflict, match="port is already allocated"):
        network.add("c" * 64, world.guest().pid, (PortMapping(8080, 80),))
    with pytest.raises(Conflict, match="port is already allocated"):
        BridgeNetworks(str(tmp_path / "other")).attach(
            "d" * 64, world.guest().pid, "bridge", [network_port()]
        )
    network.delete("a" * 64)
    with pytest.raises(ConnectionRefusedError):
        world.outside.connect(MACHINE, 8080)
    assert made.address not in str(Nft().ask(f"list table inet dockyard_{instance_id(tmp_path)}"))


def network_port() -> object:
    from dockyard.node.network.leases import Port

    return Port(80, "tcp", "0.0.0.0", 8080)


def test_g09_what_sandboxes_have_left_goes(world: World, tmp_path: Path) -> None:
    network = pods(tmp_path)
    kept = network.add("a" * 64, world.guest().pid)
    network.add("b" * 64, world.guest().pid)
    bridges = BridgeNetworks(str(tmp_path))
    bridges.attach("c" * 64, world.guest().pid, "bridge", [])
    with Netlink() as host:
        host.add_link(f"dy{instance_id(tmp_path)}pzz", "bridge")
    network.gc(lambda: {"a" * 64})
    with Netlink() as host:
        left = {link.name[10:] for link in host.links() if instance_id(tmp_path) in link.name}
    assert left == {kept.interfaces[0].name[10:], "b1", "v3"}
    assert network.address("b" * 64) == ""
    assert bridges.leases("bridge")
    network.delete("b" * 64)


def test_g09_a_sandbox_that_has_ended_leaves_nothing(world: World, tmp_path: Path) -> None:
    network, gone = pods(tmp_path), Namespace()
    gone.close()
    with pytest.raises(Conflict, match="has ended"):
        network.add("a" * 64, gone.pid)
    assert network.address("a" * 64) == ""


def test_teardown_leaves_the_bridges(world: World, tmp_path: Path) -> None:
    network = pods(tmp_path)
    network.add("a" * 64, world.guest().pid, (PortMapping(8080, 80),))
    BridgeNetworks(str(tmp_path)).create("back")
    network.teardown()
    network.teardown()
    with Netlink() as host, Nft() as nft:
        left = {link.name[10:] for link in host.links() if instance_id(tmp_path) in link.name}
        assert left == {"b1"}
        assert nft.tables() == [f"dockyard_{instance_id(tmp_path)}"]
    BridgeNetworks(str(tmp_path)).teardown()
    assert Nft().tables() == []


def test_a_broken_block_is_refused() -> None:
    with pytest.raises(Invalid, match=r"block '10\.244\.0\.0/33'"):
        RoutedPods("/nowhere", "10.244.0.0/33", ())

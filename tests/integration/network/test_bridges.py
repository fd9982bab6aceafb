"""Bridge networks in a kernel: addresses, the way out, published ports, walls."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from dockyard.base.errors import Conflict, Invalid, NotFound
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.base.oci.instance import instance_id
from dockyard.node.network.bridges import BridgeNetworks
from dockyard.node.network.leases import Port
from helpers.netns import Namespace, World, is_cut_off, reached

pytestmark = pytest.mark.root
ANY, HOME, MACHINE, OUTSIDE = "0.0.0.0", "127.0.0.1", "198.51.100.2", "198.51.100.1"


def tcp(host_port: int, container_port: int = 80, host_ip: str = ANY) -> Port:
    return Port(container_port, "tcp", host_ip, host_port)


def ours(root: Path) -> set[str]:
    """Links and tables of a data root."""
    instance = instance_id(root)
    with Netlink() as host, Nft() as nft:
        names = [link.name for link in host.links()] + nft.tables()
    return {name for name in names if instance in name}


def test_a_container_gets_an_address_a_way_out_and_neighbours(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    first, second = world.guest(), world.guest()
    made = networks.attach("a" * 64, first.pid, "bridge", [])
    other = networks.attach("b" * 64, second.pid, "bridge", [])
    assert (made.address, made.gateway, made.prefix) == ("172.17.0.2", "172.17.0.1", 16)
    assert made.mac == "02:43:ac:11:00:02"
    assert other.address == "172.17.0.3"
    with first.netlink() as inside:
        eth0 = inside.link("eth0")
        assert (eth0.mac.hex(":"), eth0.mtu, eth0.up) == (made.mac, 1400, True), "the uplink's size"
        assert inside.link("lo").up
    with second.listen(80) as server:
        assert reached(first, other.address, 80, server) == made.address
        assert reached(world.host, other.address, 80, server) == made.gateway
    with world.outside.listen(80) as server:
        assert reached(first, OUTSIDE, 80, server) == MACHINE, "masqueraded"


def test_published_ports_from_everywhere(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    guest, neighbour, stranger = world.guest(), world.guest(), world.guest()
    made = networks.attach("a" * 64, guest.pid, "bridge", [tcp(8080), Port(53, "udp", ANY, 5353)])
    networks.attach("b" * 64, neighbour.pid, "bridge", [])
    networks.create("other")
    networks.attach("c" * 64, stranger.pid, "other", [])
    assert made.ports == (tcp(8080), Port(53, "udp", ANY, 5353))
    with guest.listen(80) as server:
        assert reached(world.outside, MACHINE, 8080, server) == OUTSIDE, "the client is seen"
        assert reached(world.host, HOME, 8080, server) == made.gateway
        assert reached(world.host, MACHINE, 8080, server)
        assert reached(world.host, made.gateway, 8080, server)
        assert reached(guest, MACHINE, 8080, server) == made.gateway, "itself, by the host"
        assert reached(guest, made.gateway, 8080, server) == made.gateway
        assert reached(neighbour, MACHINE, 8080, server) == made.gateway
        assert reached(stranger, MACHINE, 8080, server)
        with pytest.raises(ConnectionRefusedError):
            world.outside.connect(MACHINE, 8081)
    with guest.datagrams(53) as server, world.outside.datagrams() as client:
        client.sendto(b"query", (MACHINE, 5353))
        data, peer = server.recvfrom(100)
        server.sendto(data.upper(), peer)
        assert client.recvfrom(100) == (b"QUERY", (MACHINE, 5353))
    networks.detach("a" * 64)
    with pytest.raises(ConnectionRefusedError):
        world.outside.connect(MACHINE, 8080)


def test_a_port_of_one_address_is_closed_on_others(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    guest = world.guest()
    networks.attach("a" * 64, guest.pid, "bridge", [tcp(8080, host_ip=HOME)])
    with guest.listen(80) as server:
        assert reached(world.host, HOME, 8080, server)
        with pytest.raises(ConnectionRefusedError):
            world.outside.connect(MACHINE, 8080)


def test_d07_what_is_published_on_loopback_is_not_reached_by_a_crafted_route(
    world: World, tmp_path: Path
) -> None:
    networks = BridgeNetworks(str(tmp_path))
    guest, hostile = world.guest(), world.guest()
    networks.attach("a" * 64, guest.pid, "bridge", [tcp(8080, host_ip=HOME)])
    networks.attach("b" * 64, hostile.pid, "bridge", [])
    with guest.listen(80), world.host.listen(9000, HOME):
        for attacker, link, gateway in (
            (world.outside, "up1", MACHINE),
            (hostile, "eth0", "172.17.0.1"),
        ):
            with attacker.entered():
                Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")
                with Netlink() as inside:
                    lo = inside.index("lo")
                    inside.delete_address(lo, HOME, 8)
                    with contextlib.suppress(OSError):
                        inside.set_link(lo, up=False)
                    inside.add_route("127.0.0.0", 8, inside.index(link), gateway)
            assert is_cut_off(attacker, HOME, 8080)
            assert is_cut_off(attacker, HOME, 9000)


def test_d07_router_advertisements_are_not_heard(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    networks.attach("a" * 64, world.guest().pid, "bridge", [])
    (bridge,) = (name for name in ours(tmp_path) if name.startswith("dy") and name[10] == "b")
    setting = Path(f"/proc/sys/net/ipv6/conf/{bridge}/accept_ra")
    assert not setting.exists() or setting.read_text().strip() == "0"


def test_d07_bridges_are_kept_apart_and_what_is_not_published_is_closed(
    world: World, tmp_path: Path
) -> None:
    networks = BridgeNetworks(str(tmp_path))
    guest, stranger = world.guest(), world.guest()
    made = networks.attach("a" * 64, guest.pid, "bridge", [])
    networks.create("other")
    there = networks.attach("c" * 64, stranger.pid, "other", [])
    assert there.address.startswith("172.18.")
    with world.outside.netlink() as far:
        far.add_route("172.16.0.0", 12, far.index("up1"), MACHINE)
    with guest.listen(80):
        assert is_cut_off(stranger, made.address, 80)
        assert is_cut_off(world.outside, made.address, 80)


def test_a_port_that_is_taken(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    networks.attach("a" * 64, world.guest().pid, "bridge", [tcp(8080)])
    late = world.guest()
    message = "Bind for 0.0.0.0:8080 failed: port is already allocated"
    with pytest.raises(Conflict, match=message):
        networks.attach("b" * 64, late.pid, "bridge", [tcp(8080)])
    with pytest.raises(Conflict, match="port is already allocated"):
        networks.attach("b" * 64, late.pid, "bridge", [tcp(8080, host_ip=HOME)])
    with world.host.listen(8081), pytest.raises(Conflict, match="8081 failed: port is already"):
        networks.attach("b" * 64, late.pid, "bridge", [tcp(8081)])
    with pytest.raises(Invalid, match=r"no address of this machine: 203\.0\.113\.9"):
        networks.attach("b" * 64, late.pid, "bridge", [tcp(8082, host_ip="203.0.113.9")])
    other = BridgeNetworks(str(tmp_path / "another"))
    with pytest.raises(Conflict, match=message):
        other.attach("c" * 64, world.guest().pid, "bridge", [tcp(8080)])
    assert networks.leases("bridge")[0].holder == "a" * 64
    assert len(networks.leases("bridge")) == 1, "nothing is left of those that failed"
    assert networks.attach("b" * 64, late.pid, "bridge", [Port(8080, "udp", ANY, 8080)])


def test_any_port_of_the_host(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    guest = world.guest()
    made = networks.attach("a" * 64, guest.pid, "bridge", [tcp(0), tcp(0, 81)])
    numbers = [port.host_port for port in made.ports]
    assert all(1024 < number < 65536 for number in numbers)
    assert len(set(numbers)) == 2
    with guest.listen(81) as server:
        assert reached(world.host, HOME, numbers[1], server)


def test_a_udp_flow_that_began_too_early_is_led_to_the_container(
    world: World, tmp_path: Path
) -> None:
    networks = BridgeNetworks(str(tmp_path))
    networks.attach("a" * 64, world.guest().pid, "bridge", [])
    with world.outside.datagrams() as client:
        client.sendto(b"early", (MACHINE, 5353))
        guest = world.guest()
        networks.attach("b" * 64, guest.pid, "bridge", [Port(53, "udp", ANY, 5353)])
        with guest.datagrams(53) as server, contextlib.suppress(ConnectionRefusedError):
            client.sendto(b"again", (MACHINE, 5353))
            assert server.recv(100) == b"again"
        networks.detach("b" * 64)
        after = world.guest()
        networks.attach("c" * 64, after.pid, "bridge", [Port(53, "udp", ANY, 5353)])
        with after.datagrams(53) as server:
            client.sendto(b"third", (MACHINE, 5353))
            assert server.recv(100) == b"third", "the same flow, another container"


def test_networks_of_ones_own(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    row = networks.create("back", "10.9.0.0/24")
    made = networks.attach("a" * 64, world.guest().pid, "back", [])
    assert (row.subnet, made.address, made.gateway) == ("10.9.0.0/24", "10.9.0.2", "10.9.0.1")
    with pytest.raises(Conflict, match="network with name back already exists"):
        networks.create("back")
    with pytest.raises(Conflict, match="Pool overlaps"):
        networks.create("more", "10.9.0.128/25")
    with pytest.raises(Conflict, match="Pool overlaps"):
        networks.create("more", "198.51.100.0/28")
    with pytest.raises(Conflict, match="has active endpoints"):
        networks.remove("back")
    for name in ("a b", "", "-x", "host/../x"):
        with pytest.raises(Invalid, match="not a name"):
            networks.create(name)
    with pytest.raises(NotFound, match="network nothing not found"):
        networks.attach("b" * 64, world.guest().pid, "nothing", [])
    networks.detach("a" * 64)
    networks.remove("back")
    assert networks.list() == []
    assert {name for name in ours(tmp_path) if name.startswith("dy")} == set()
    assert networks.create("back", "10.9.0.0/24").number != row.number


def test_the_first_block_that_no_route_covers(world: World, tmp_path: Path) -> None:
    with Netlink() as host:
        host.add_route("172.17.0.0", 16, host.index("up0"))
        host.add_route("172.18.4.0", 24, host.index("up0"))
    first = BridgeNetworks(str(tmp_path / "one"))
    second = BridgeNetworks(str(tmp_path / "two"))
    assert first.create("a").subnet == "172.19.0.0/16"
    assert second.create("a").subnet == "172.20.0.0/16"
    assert BridgeNetworks(str(tmp_path / "one")).list()[0].subnet == "172.19.0.0/16"


def test_g09_an_attachment_that_fails_leaves_nothing(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    guest = world.guest()
    networks.attach("a" * 64, guest.pid, "bridge", [])
    before = ours(tmp_path)
    gone = Namespace()
    gone.close()
    with pytest.raises(Conflict, match="has ended"):
        networks.attach("b" * 64, gone.pid, "bridge", [tcp(8080)])
    with pytest.raises(Conflict, match="already allocated"), world.host.listen(8081):
        networks.attach("b" * 64, world.guest().pid, "bridge", [tcp(8080), tcp(8081)])
    assert ours(tmp_path) == before
    assert len(networks.leases("bridge")) == 1
    assert networks.attach("b" * 64, world.guest().pid, "bridge", [tcp(8080)])


def test_g09_attaching_again_gives_back_what_was_held(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    first = networks.attach("a" * 64, world.guest().pid, "bridge", [tcp(8080)])
    again = networks.attach("a" * 64, world.guest().pid, "bridge", [tcp(8080)])
    assert first.address == again.address
    assert len([name for name in ours(tmp_path) if name.startswith("dy") and name[10] == "v"]) == 1
    networks.detach("a" * 64)
    networks.detach("a" * 64)
    assert networks.leases("bridge") == ()


def test_g07_what_a_crash_has_left_goes_and_what_a_reboot_took_comes_back(
    world: World, tmp_path: Path
) -> None:
    networks = BridgeNetworks(str(tmp_path))
    alive, dead = world.guest(), world.guest()
    networks.attach("a" * 64, alive.pid, "bridge", [tcp(8080)])
    networks.attach("b" * 64, dead.pid, "bridge", [tcp(8081)])
    with Netlink() as host:
        host.add_link(f"dy{instance_id(tmp_path)}vzz", "bridge")
        host.add_link(f"dy{instance_id(tmp_path)}b9", "bridge")
    with Nft() as nft:
        nft.delete_table("inet", f"dockyard_{instance_id(tmp_path)}")
    networks.gc(lambda: {"a" * 64})
    assert [lease.holder for lease in networks.leases("bridge")] == ["a" * 64]
    links = sorted(name[10:] for name in ours(tmp_path) if name.startswith("dy"))
    assert links == ["b1", "v1"]
    with alive.listen(80) as server:
        assert reached(world.outside, MACHINE, 8080, server) == OUTSIDE
    with pytest.raises(ConnectionRefusedError):
        world.outside.connect(MACHINE, 8081)


def test_a_ruleset_that_somebody_flushed_is_written_again(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    first, second = world.guest(), world.guest()
    networks.attach("a" * 64, first.pid, "bridge", [tcp(8080)])
    with Nft() as nft:
        nft.delete_table("inet", f"dockyard_{instance_id(tmp_path)}")
    networks.attach("b" * 64, second.pid, "bridge", [tcp(8081)])
    for guest, port in ((first, 8080), (second, 8081)):
        with guest.listen(80) as server:
            assert reached(world.outside, MACHINE, port, server)
    networks.detach("a" * 64)
    with pytest.raises(ConnectionRefusedError):
        world.outside.connect(MACHINE, 8080)


def test_teardown_leaves_nothing(world: World, tmp_path: Path) -> None:
    networks = BridgeNetworks(str(tmp_path))
    networks.attach("a" * 64, world.guest().pid, "bridge", [tcp(8080)])
    networks.create("other")
    assert ours(tmp_path)
    networks.teardown()
    networks.teardown()
    assert ours(tmp_path) == set()
    with world.host.entered(), socket.create_server((ANY, 8080)):
        pass


IPTABLES = """
add table ip filter
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add rule ip filter FORWARD iifname "docker0" accept
"""


def test_another_program_that_drops_what_it_does_not_know(world: World, tmp_path: Path) -> None:
    with Nft() as nft:
        nft.run(IPTABLES)
        before = nft.ask("list chain ip filter FORWARD")
        networks = BridgeNetworks(str(tmp_path))
        guest = world.guest()
        networks.attach("a" * 64, guest.pid, "bridge", [tcp(8080)])
        with world.outside.listen(80) as server:
            assert reached(guest, OUTSIDE, 80, server) == MACHINE
        with guest.listen(80) as server:
            assert reached(world.outside, MACHINE, 8080, server) == OUTSIDE
        networks.gc(lambda: {"a" * 64})
        rules = [item for item in nft.ask("list chain ip filter FORWARD") if "rule" in item]
        assert len(rules) == 3, "not once more"
        networks.teardown()
        assert nft.ask("list chain ip filter FORWARD") == before

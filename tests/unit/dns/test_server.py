"""Queries in, answers out; resolvers of the node are servers of this test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import dnslib
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.base.aio.clock import RealClock
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import ENDPOINT_SLICES, SERVICES
from dockyard.cluster.dns.server import DnsServer
from dockyard.cluster.dns.upstream import answers
from helpers.memoryapi import MemoryApi

HOME = "127.0.0.1"
Upstream = Callable[[bytes], list[bytes]]


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


@asynccontextmanager
async def server(*upstreams: str, port: int = 9) -> AsyncIterator[DnsServer]:
    api = MemoryApi()
    api.put(SERVICES, service("web", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7"]))
    api.put(SERVICES, service("big", clusterIP="None"))
    api.put(SERVICES, service("in", type="ExternalName",
                              externalName="web.shop.svc.cluster.local"))  # fmt: skip
    api.put(SERVICES, service("out", type="ExternalName", externalName="db.example.org"))
    api.put(SERVICES, service("loop", type="ExternalName",
                              externalName="loop.shop.svc.cluster.local"))  # fmt: skip
    labels = {"kubernetes.io/service-name": "big"}
    endpoints = [{"addresses": [f"10.1.0.{n}"]} for n in range(1, 101)]
    api.put(ENDPOINT_SLICES, {"metadata": {"namespace": "shop", "name": "big-1", "labels": labels},
                              "endpoints": endpoints})  # fmt: skip
    informers = Informers(Client(api), RealClock())
    made = DnsServer(informers, "cluster.local", upstreams, RealClock(), port)
    async with Tasks() as tasks:
        informers.start(tasks)
        await informers.synced()
        yield made


async def ask(made: DnsServer, name: str, kind: str = "A", largest: int = 0) -> dnslib.DNSRecord:
    found = await made.answer(bytes(dnslib.DNSRecord.question(name, kind).pack()), largest)
    assert found is not None
    return dnslib.DNSRecord.parse(found)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with RealClock().timeout(10):
            await test()

    asyncio.run(limited())


def values(record: dnslib.DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in record.rr]


@asynccontextmanager
async def resolver(answer: Upstream, over_tcp: bytes = b"") -> AsyncIterator[int]:
    """A resolver of the node: its answers over UDP, and what it says over TCP."""

    class Peer(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, peer: Any) -> None:
            for each in answer(data):
                self.transport.sendto(each, peer)

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        found = data[:2] + over_tcp[2:]
        writer.write(len(found).to_bytes(2, "big") + found)
        writer.close()

    loop = asyncio.get_running_loop()
    with socket.create_server((HOME, 0)) as listening:
        port = listening.getsockname()[1]
        tcp = await asyncio.start_server(stream, sock=listening)
        udp, _ = await loop.create_datagram_endpoint(Peer, local_addr=(HOME, port))
        try:
            yield port
        finally:
            udp.close()
            tcp.close()


def positive(data: bytes, address: str = "192.0.2.7") -> bytes:
    query = dnslib.DNSRecord.parse(data)
    reply = query.reply()
    reply.add_answer(dnslib.RR(query.q.qname, rdata=dnslib.A(address), ttl=60))
    return bytes(reply.pack())


def test_a_service_of_the_cluster() -> None:
    async def test() -> None:
        async with server() as made:
            found = await ask(made, "WEB.shop.svc.Cluster.local.")
            assert (values(found), found.rr[0].ttl, found.header.aa) == (["10.96.0.7"], 5, 1)
            assert str(found.q.qname) == "WEB.shop.svc.Cluster.local."
            none = await ask(made, "web.shop.svc.cluster.local", "AAAA")
            assert (none.header.rcode, none.rr, len(none.auth)) == (0, [], 1)
            missing = await ask(made, "nothing.shop.svc.cluster.local")
            assert dnslib.RCODE[missing.header.rcode] == "NXDOMAIN"

    run(test)


def test_aliases_are_followed() -> None:
    async def test() -> None:
        async with resolver(lambda data: [positive(data)]) as port, server(HOME, port=port) as made:
            inside = await ask(made, "in.shop.svc.cluster.local")
            assert values(inside) == ["web.shop.svc.cluster.local.", "10.96.0.7"]
            outside = await ask(made, "out.shop.svc.cluster.local")
            assert values(outside) == ["db.example.org.", "192.0.2.7"]
            endless = await ask(made, "loop.shop.svc.cluster.local")
            assert dnslib.RCODE[endless.header.rcode] == "SERVFAIL"

    run(test)


def test_other_names_are_forwarded() -> None:
    async def test() -> None:
        async with resolver(lambda data: [positive(data)]) as port, server(HOME, port=port) as made:
            assert values(await ask(made, "example.org")) == ["192.0.2.7"]

    run(test)


def test_f22_answers_to_something_else_are_not_heard() -> None:
    def forged(data: bytes) -> list[bytes]:
        other = dnslib.DNSRecord.question("example.net")
        other.header.id = int.from_bytes(data[:2], "big")
        wrong_id = bytes([data[0] ^ 1, data[1]]) + positive(data, "203.0.113.1")[2:]
        return [wrong_id, positive(bytes(other.pack()), "203.0.113.2"), b"", positive(data)]

    async def test() -> None:
        async with resolver(forged) as port, server(HOME, port=port) as made:
            assert values(await ask(made, "example.org")) == ["192.0.2.7"]

    run(test)


def test_f22_each_forwarded_query_has_an_id_and_a_port_of_its_own() -> None:
    seen = []

    def remember(data: bytes) -> list[bytes]:
        seen.append(data[:2])
        return [positive(data)]

    async def test() -> None:
        async with resolver(remember) as port, server(HOME, port=port) as made:
            query = bytes(dnslib.DNSRecord.question("example.org").pack())
            for _ in range(8):
                found = await made.answer(query)
                assert found is not None
                assert found[:2] == query[:2]

    run(test)
    assert len(set(seen)) > 6


def test_an_answer_cut_short_is_asked_for_over_tcp() -> None:
    def cut(data: bytes) -> list[bytes]:
        reply = dnslib.DNSRecord.parse(data).reply()
        reply.header.tc = 1
        return [bytes(reply.pack())]

    whole = positive(bytes(dnslib.DNSRecord.question("example.org").pack()), "192.0.2.9")

    async def test() -> None:
        async with resolver(cut, whole) as port, server(HOME, port=port) as made:
            assert values(await ask(made, "example.org")) == ["192.0.2.9"]

    run(test)


def test_no_resolver_that_answers_is_a_failure() -> None:
    async def test() -> None:
        async with server() as made:
            found = await ask(made, "example.org")
            assert dnslib.RCODE[found.header.rcode] == "SERVFAIL"

    run(test)


def test_what_does_not_fit_is_asked_for_again() -> None:
    async def test() -> None:
        async with server() as made:
            short = await ask(made, "big.shop.svc.cluster.local")
            assert (short.header.tc, short.rr) == (1, [])
            whole = await ask(made, "big.shop.svc.cluster.local", largest=65535)
            assert (whole.header.tc, len(whole.rr)) == (0, 100)

    run(test)


def test_f22_zones_are_not_handed_out() -> None:
    async def test() -> None:
        async with server() as made:
            for name in ("cluster.local", "example.org"):
                found = await ask(made, name, "AXFR")
                assert dnslib.RCODE[found.header.rcode] == "REFUSED"

    run(test)


def test_names_that_are_not_known_yet_are_a_failure() -> None:
    async def test() -> None:
        informers = Informers(Client(MemoryApi()), RealClock())
        made = DnsServer(informers, "cluster.local", (), RealClock())
        found = await ask(made, "web.shop.svc.cluster.local")
        assert dnslib.RCODE[found.header.rcode] == "SERVFAIL"

    run(test)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_f22_no_packet_breaks_the_server(data: bytes) -> None:
    async def test() -> None:
        informers = Informers(Client(MemoryApi()), RealClock())
        made = DnsServer(informers, "cluster.local", (), RealClock())
        await made.answer(data)
        answers(data, data)
        assert await made.answer(data[:2] + b"\x80" + data[3:]) is None

    run(test)


def test_f22_names_in_a_long_chain_are_not_followed() -> None:
    """Four thousand records, each named by a label and a pointer to the one before: eight seconds
    of work in one packet, were they parsed."""
    records, last = b"", 12
    for number in range(4000):
        records += b"\1b" + (0xC000 | last).to_bytes(2) + b"\0\1\0\1\0\0\0\0\0\4\1\2\3\4"
        last = 19 + 18 * number if 19 + 18 * number < 0x3FFF else last
    packet = b"\0\1\1\0\0\1\0\0\0\0\x0f\xa0" + b"\1a\0\0\1\0\1" + records

    async def test() -> None:
        async with server() as made:
            for _ in range(20):
                assert await made.answer(packet) is None

    run(test)


def test_a_compression_pointer_to_itself_is_dropped() -> None:
    async def test() -> None:
        async with server() as made:
            header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
            assert await made.answer(header + b"\xc0\x0c\x00\x01\x00\x01") is None

    run(test)


def test_over_udp_and_tcp() -> None:
    async def test() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HOME, 0))
            port = probe.getsockname()[1]
        query = bytes(dnslib.DNSRecord.question("web.shop.svc.cluster.local").pack())
        async with server() as made, Tasks() as tasks:
            tasks.start(made.serve(HOME, port), name="dns", essential=True)
            await RealClock().sleep(0.1)
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect((HOME, port))
                await loop.sock_sendall(client, b"no query")
                await loop.sock_sendall(client, query)
                by_udp = await loop.sock_recv(client, 512)
            reader, writer = await asyncio.open_connection(HOME, port)
            for _ in range(2):
                writer.write(len(query).to_bytes(2, "big") + query)
                size = int.from_bytes(await reader.readexactly(2), "big")
                assert await reader.readexactly(size) == by_udp
            writer.close()
            assert values(dnslib.DNSRecord.parse(by_udp)) == ["10.96.0.7"]

    run(test)

"""Turns DNS queries into answers: the cluster's names from its objects, all others from the node's.

UDP and TCP (RFC 1035, 7766). A packet that cannot be parsed is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import dnslib
from dnslib.buffer import BufferError as BadBuffer
from dnslib.label import DNSLabelError

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import ENDPOINT_SLICES, SERVICES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.dns import upstream
from dockyard.cluster.dns.records import Answer, Objects, is_below, lookup
from dockyard.cluster.dns.upstream import Upstreams

TTL = 5
IDLE_SECONDS = 10.0
PLAIN_SIZE, LARGEST, LARGEST_TCP = 512, 4096, 65535
MOST_QUERIES, MOST_STREAMS = 1000, 100
LONGEST_CHAIN = 8
MOST_ASKED, MOST_ANSWERED = 16, 256
"""Records of a packet that is parsed: compressed names cost the square of their number."""
SERVICE, NAMESPACE = "service", "namespace"
TRANSFERS = (dnslib.QTYPE.AXFR, dnslib.QTYPE.IXFR)
BAD_PACKET = (dnslib.DNSError, BadBuffer, DNSLabelError, ValueError, IndexError)


class DnsServer:
    """The cluster's DNS on one address."""

    def __init__(
        self,
        informers: Informers,
        domain: str,
        upstreams: tuple[str, ...],
        clock: Clock,
        upstream_port: int = upstream.PORT,
    ) -> None:
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._slices.add_index(SERVICE, _service_of)
        self._services.add_index(NAMESPACE, _namespace_of)
        self._objects = Objects(
            self._services.get,
            lambda key: self._slices.by(SERVICE, key),
            lambda name: bool(self._services.by(NAMESPACE, name)),
        )
        self._domain, self._clock = domain.lower(), clock
        self._upstreams = Upstreams(upstreams, clock, upstream_port)
        self._streams = 0

    async def serve(self, address: str, port: int) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        async with Tasks() as tasks:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Udp(self.answer, tasks), local_addr=(address, port)
            )
            try:
                server = await asyncio.start_server(self._stream, address, port)
                try:
                    await asyncio.Event().wait()
                finally:
                    server.close()
            finally:
                transport.close()

    async def answer(self, data: bytes, largest: int = 0) -> bytes | None:
        """The answer to one query, no larger than that, or than the client says; None: drop it."""
        try:
            query = _parsed(data, MOST_ASKED)
            if query.header.qr or len(query.questions) != 1:
                return None
            reply = await self._reply(query, data)
            return _fit(reply, largest or _accepted(query), query)
        except BAD_PACKET:
            return None

    async def _reply(self, query: dnslib.DNSRecord, data: bytes) -> bytes:
        if query.header.opcode != dnslib.OPCODE.QUERY:
            return _failed(query, dnslib.RCODE.NOTIMP)
        if query.q.qtype in TRANSFERS:
            return _failed(query, dnslib.RCODE.REFUSED)
        name = _plain(query.q.qname)
        try:
            if is_below(name, self._domain):
                return await self._own(query, name)
            return await self._upstreams.ask(data)
        except Unavailable:
            return _failed(query, dnslib.RCODE.SERVFAIL)

    async def _own(self, query: dnslib.DNSRecord, name: str) -> bytes:
        """A name of the cluster. Aliases are followed to the end: stub resolvers don't."""
        if not (self._services.has_synced and self._slices.has_synced):
            raise Unavailable("dns: the cluster's Services are not known yet; ask again")
        reply = query.reply(ra=1, aa=1)
        label = query.q.qname
        for _ in range(LONGEST_CHAIN):
            found = lookup(name, self._domain, self._objects)
            if not found.alias:
                self._add(reply, label, found)
                return bytes(reply.pack())
            alias = dnslib.RR(label, dnslib.QTYPE.CNAME, rdata=dnslib.CNAME(found.alias), ttl=TTL)
            reply.add_answer(alias)
            name, label = found.alias, dnslib.DNSLabel(found.alias)
            if query.q.qtype == dnslib.QTYPE.CNAME:
                return bytes(reply.pack())
            if not is_below(name, self._domain):
                await self._follow(reply, label)
                return bytes(reply.pack())
        raise Unavailable(f"dns: {query.q.qname}: its aliases do not end")

    def _add(self, reply: dnslib.DNSRecord, label: dnslib.DNSLabel, found: Answer) -> None:
        family = reply.q.qtype
        if family in (dnslib.QTYPE.A, dnslib.QTYPE.ANY):
            for address in found.of_version(4):
                reply.add_answer(dnslib.RR(label, dnslib.QTYPE.A, rdata=dnslib.A(address), ttl=TTL))
        if family in (dnslib.QTYPE.AAAA, dnslib.QTYPE.ANY):
            for address in found.of_version(6):
                data = dnslib.AAAA(address)
                reply.add_answer(dnslib.RR(label, dnslib.QTYPE.AAAA, rdata=data, ttl=TTL))
        if not found.exists:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        if not any(rr.rtype != dnslib.QTYPE.CNAME for rr in reply.rr):
            soa = dnslib.SOA(
                f"ns.dns.{self._domain}", f"hostmaster.{self._domain}", (1, 7200, 1800, 86400, TTL)
            )
            reply.add_auth(dnslib.RR(self._domain, dnslib.QTYPE.SOA, rdata=soa, ttl=TTL))

    async def _follow(self, reply: dnslib.DNSRecord, label: dnslib.DNSLabel) -> None:
        """What an alias that leads outside means there; only answers are taken over."""
        query = dnslib.DNSRecord(dnslib.DNSHeader(rd=1), q=dnslib.DNSQuestion(label, reply.q.qtype))
        found = _parsed(await self._upstreams.ask(bytes(query.pack())), MOST_ANSWERED)
        reply.header.rcode = found.header.rcode
        reply.add_answer(*found.rr)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams += 1
        try:
            while self._streams <= MOST_STREAMS:
                async with self._clock.timeout(IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(size)
                found = await self.answer(data, LARGEST_TCP)
                if found is None:
                    return
                writer.write(len(found).to_bytes(2, "big") + found)
                async with self._clock.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            self._streams -= 1
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    """Each packet is a task; under a flood, packets are dropped as the network would."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes | None]], tasks: Tasks) -> None:
        self._answer, self._tasks = answer, tasks
        self._waiting = 0
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        if self._waiting < MOST_QUERIES:
            self._waiting += 1
            self._tasks.start(self._reply(data, peer), name="dns query")

    async def _reply(self, data: bytes, peer: tuple[str, int]) -> None:
        try:
            found = await self._answer(data)
            if found is not None:
                self._transport.sendto(found, peer)
        finally:
            self._waiting -= 1


def _parsed(data: bytes, most: int) -> dnslib.DNSRecord:
    """Raises one of BAD_PACKET, before anything is parsed for a packet of more records."""
    records = sum(int.from_bytes(data[at : at + 2]) for at in range(4, 12, 2))  # RFC 1035, 4.1.1
    if records > most:
        raise dnslib.DNSError(f"{records} records")
    return dnslib.DNSRecord.parse(data)


def _plain(label: dnslib.DNSLabel) -> str:
    return str(label).lower().rstrip(".")


def _accepted(query: dnslib.DNSRecord) -> int:
    """How large an answer the client takes: EDNS (RFC 6891), or 512 bytes."""
    for record in query.ar:
        if record.rtype == dnslib.QTYPE.OPT:
            return max(PLAIN_SIZE, min(LARGEST, int(record.rclass)))
    return PLAIN_SIZE


def _failed(query: dnslib.DNSRecord, code: int) -> bytes:
    reply = query.reply(ra=1, aa=0)
    reply.header.rcode = code
    return bytes(reply.pack())


def _fit(reply: bytes, largest: int, query: dnslib.DNSRecord) -> bytes:
    """The answer, or the hint to ask again over TCP."""
    if len(reply) <= largest:
        return reply
    short = query.reply(ra=1, aa=0)
    short.header.tc = 1
    return bytes(short.pack())


def _service_of(each: Object) -> Iterable[str]:
    metadata = each["metadata"]
    name = (metadata.get("labels") or {}).get("kubernetes.io/service-name")
    return [f"{metadata['namespace']}/{name}"] if name else []


def _namespace_of(each: Object) -> Iterable[str]:
    return [each["metadata"]["namespace"]]

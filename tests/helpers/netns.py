"""Network namespaces for tests: one that plays the machine, others that play guests and outside."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockyard.base.linux.syscalls import CLONE_NEWNET, setns
from dockyard.base.net.netlink import Netlink, open_in

SECONDS = 3.0


class Namespace:
    """A network namespace, held by a process that sleeps."""

    def __init__(self) -> None:
        script = "echo; exec sleep 1000"
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self.pid = self._process.pid

    def close(self) -> None:
        """End its process; the namespace goes with it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in it: sockets made here stay in it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, CLONE_NEWNET)
            yield
        finally:
            setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(there)

    def netlink(self) -> Netlink:
        """An rtnetlink socket in it."""
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return open_in(there)
        finally:
            os.close(there)

    def listen(self, port: int, address: str = "0.0.0.0") -> socket.socket:
        """A TCP server in it."""
        with self.entered():
            server = socket.create_server((address, port))
        server.settimeout(SECONDS)
        return server

    def datagrams(self, port: int = 0) -> socket.socket:
        """A UDP socket in it."""
        with self.entered():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind(("0.0.0.0", port))
        made.settimeout(SECONDS)
        return made

    def connect(self, address: str, port: int, seconds: float = SECONDS) -> socket.socket:
        """A TCP connection out of it."""
        with self.entered():
            return socket.create_connection((address, port), seconds)


class World(NamedTuple):
    """Where a test is: in ``host``; it may have guests."""

    host: Namespace
    outside: Namespace
    guest: Callable[[], Namespace]


def reached(client: Namespace, address: str, port: int, server: socket.socket) -> str:
    """Who a server sees when a client connects and says something: the client's address."""
    with client.connect(address, port) as made:
        accepted, peer = server.accept()
        with accepted:
            made.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
            accepted.sendall(b"back")
            assert made.recv(4) == b"back"
        return str(peer[0])


def is_cut_off(client: Namespace, address: str, port: int) -> bool:
    """Whether a connection is neither made nor answered."""
    try:
        client.connect(address, port, 0.4).close()
    except TimeoutError:
        return True
    return False


@contextlib.contextmanager
def machine() -> Iterator[tuple[Namespace, Namespace]]:
    """A namespace that plays the machine, entered, and the outside that it has a default route to.

    The machine is 198.51.100.2, the outside 198.51.100.1.
    """
    with contextlib.ExitStack() as stack:
        host, outside = Namespace(), Namespace()
        stack.callback(host.close)
        stack.callback(outside.close)
        stack.enter_context(host.entered())
        there = os.open(f"/proc/{outside.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, there)
        with Netlink() as link:
            link.set_link(link.index("lo"), up=True)
            index = link.add_veth("up0", "up1", there, b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", 1400)
            link.add_address(index, "198.51.100.2", 24)
            link.set_link(index, up=True)
            with outside.netlink() as far:
                far.set_link(far.index("lo"), up=True)
                far.add_address(far.index("up1"), "198.51.100.1", 24)
                far.set_link(far.index("up1"), up=True)
            link.add_route("0.0.0.0", 0, index, "198.51.100.1")
        yield host, outside

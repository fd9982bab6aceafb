"""Rules of Services in a kernel: in a network namespace of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

IN_NAMESPACE = r"""
import socket
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.cluster.proxy.proxy import teardown
from dockyard.cluster.proxy.rules import Port, ruleset

with Netlink() as host:
    host.set_link(host.index("lo"), up=True)
    host.add_link("pods", "bridge", "pods")
    index = host.index("pods")
    host.add_address(index, "10.1.0.2", 24)
    host.add_address(index, "10.1.0.3", 24)
    host.set_link(index, up=True)
    host.add_route("10.96.0.0", 16, index)

nft = Nft()
pods = [socket.create_server((address, 8080)) for address in ("10.1.0.2", "10.1.0.3")]
targets = (("10.1.0.2", 8080), ("10.1.0.3", 8080))
ports = [Port("10.96.0.7", "tcp", 80, targets), Port("10.96.0.8", "tcp", 80, targets[:1]),
         Port("10.96.0.9", "tcp", 80, ()), Port("10.96.0.9", "udp", 80, ())]
for _ in range(2):
    nft.run(ruleset("0a1b2c3d", ports))

def reached(address):
    with socket.create_connection((address, 80), 3) as client:
        for pod in pods:
            pod.settimeout(0.05)
            try:
                pod.accept()[0].close()
            except TimeoutError:
                continue
            return pod.getsockname()[0]

assert {reached("10.96.0.7") for _ in range(40)} == {"10.1.0.2", "10.1.0.3"}
assert {reached("10.96.0.8") for _ in range(4)} == {"10.1.0.2"}
try:
    socket.create_connection(("10.96.0.9", 80), 3)
except ConnectionRefusedError:
    print("refused")
teardown(nft, "0a1b2c3d")
teardown(nft, "0a1b2c3d")
print(nft.tables())
"""


def test_services_share_lead_and_refuse() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", IN_NAMESPACE],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "refused\n[]\n"), done.stderr

"""Changes to transactions: few, and again after a failure."""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.base.net.nft import RuleError
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import SERVICES
from dockyard.cluster.proxy.proxy import Proxy, teardown
from helpers.memoryapi import MemoryApi


class Kernel:
    def __init__(self) -> None:
        self.applied: list[str] = []
        self.deleted: list[tuple[str, str]] = []
        self.failures = 0

    def run(self, commands: str) -> None:
        if self.failures:
            self.failures -= 1
            raise RuleError("nftables: busy")
        self.applied.append(commands)

    def delete_table(self, family: str, name: str) -> None:
        self.deleted.append((family, name))


def service(number: int) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"}]
    return {
        "metadata": {"namespace": "shop", "name": f"s{number}"},
        "spec": {"clusterIP": f"10.96.0.{number}", "ports": ports},
    }


def test_many_changes_are_one_transaction_and_a_failed_one_is_tried_again() -> None:
    clock, api, kernel = TurnableClock(), MemoryApi(), Kernel()
    informers = Informers(Client(api), clock)
    proxy = Proxy(informers, kernel, "0a1b2c3d", clock)

    async def test() -> None:
        async with Tasks() as tasks:
            informers.start(tasks)
            tasks.start(proxy.run(), name="proxy", essential=True)
            await clock.advance(1)
            assert len(kernel.applied) == 1
            for number in range(1, 20):
                api.put(SERVICES, service(number))
            await clock.advance(1)
            assert len(kernel.applied) == 2
            assert kernel.applied[-1].count("refused {") == 20
            api.put(SERVICES, {**service(1), "status": {"loadBalancer": {}}})
            await clock.advance(1)
            assert len(kernel.applied) == 2, "nothing differs"
            kernel.failures = 2
            api.put(SERVICES, service(30))
            await clock.advance(5)
            assert "10.96.0.30 . tcp . 80" in kernel.applied[-1]

    run_turnable(clock, test())


def test_teardown_removes_the_table() -> None:
    kernel = Kernel()
    teardown(kernel, "0a1b2c3d")
    assert kernel.deleted == [("inet", "dockyard_0a1b2c3d_services")]

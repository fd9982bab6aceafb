"""An informer over each way to the API: under churn, and with its connections cut, it is right."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from dockyard.base.aio.clock import RealClock
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import Client, key_of
from dockyard.cluster.client.informer import Informer
from dockyard.cluster.client.mutations import MutationDetector
from dockyard.cluster.client.resources import CONFIG_MAPS
from dockyard.cluster.client.transport import Object, Transport
from dockyard.cluster.meta.errors import AlreadyExists, NotFound
from helpers.apiobjects import config_map
from helpers.apiserver import ApiServer, serving

WRITES, NAMES, SEED = 400, 12, 7


async def churn(server: ApiServer, chance: random.Random, cut: bool) -> None:
    """Changes at random; now and then every connection is lost."""
    for number in range(WRITES):
        name = f"m{chance.randrange(NAMES)}"
        try:
            match chance.randrange(4):
                case 0:
                    await server.client.create(CONFIG_MAPS, config_map(name), "default")
                case 1:
                    await server.client.delete(CONFIG_MAPS, name, "default")
                case _:
                    patch = {"data": {"n": str(number)}}
                    await server.client.patch(CONFIG_MAPS, name, patch, "default")
        except (AlreadyExists, NotFound):
            continue
        if cut and number % 100 == 50:
            for connection in list(server.plane._connections):
                connection.transport.abort()
            await asyncio.sleep(0)


@pytest.mark.parametrize("way", ["local", "http"])
def test_the_copy_is_what_the_api_has(way: str, tmp_path: Path) -> None:
    async def main() -> None:
        detector = MutationDetector()
        async with serving(tmp_path) as server, RealClock().timeout(60), Tasks() as tasks:
            transport: Transport = server.http() if way == "http" else server.local
            informer = Informer(Client(transport), CONFIG_MAPS, RealClock(), detector.handed_out)
            last = asyncio.Event()
            mirror: dict[str, Object] = {}

            def follow(before: Object | None, after: Object | None) -> None:
                if after is None:
                    assert before is not None
                    del mirror[key_of(before)]
                    return
                held = mirror.get(key_of(after))
                if held is not None:  # never back in time
                    newer = int(after["metadata"]["resourceVersion"])
                    assert newer > int(held["metadata"]["resourceVersion"])
                mirror[key_of(after)] = after
                if after["metadata"]["name"] == "last":
                    last.set()

            informer.add_handler(follow)
            tasks.start(informer.run(), name="informer", essential=True)
            await informer.synced()
            await churn(server, random.Random(SEED), cut=way == "http")
            await server.client.create(CONFIG_MAPS, config_map("last"), "default")
            await last.wait()
            there, _ = await server.client.list(CONFIG_MAPS)
            assert {key_of(obj): obj for obj in there} == mirror
            assert {key_of(obj): obj for obj in informer} == mirror
            detector.check()
            await transport.close()

    asyncio.run(main())

"""One suite, two ways to the API: in process, and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.aio.clock import RealClock
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.http import HttpTransport
from dockyard.cluster.client.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from dockyard.cluster.client.transport import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Request,
    Resource,
    Transport,
    User,
    WatchEvent,
)
from dockyard.cluster.meta import errors
from helpers.apiobjects import deployment, pod
from helpers.apiserver import ApiServer, serving

Body = Callable[[Transport, ApiServer], Awaitable[None]]
Check = Callable[[Body], None]
SECONDS = 20


@pytest.fixture(params=["local", "http"])
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Check:
    """Run a body with each kind of transport."""

    def run(body: Body) -> None:
        async def main() -> None:
            async with serving(tmp_path) as server:
                transport: Transport = server.local if request.param == "local" else server.http()
                async with RealClock().timeout(SECONDS):
                    await body(transport, server)
                await transport.close()

        asyncio.run(main())

    return run


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


async def take(events: AsyncIterator[WatchEvent], count: int) -> list[WatchEvent]:
    found: list[WatchEvent] = []
    async for event in events:
        found.append(event)
        if len(found) == count:
            break
    return found


def test_an_object_is_written_read_changed_and_removed(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        client = Client(transport)
        made = await client.create(CONFIG_MAPS, config_map("a", x="1"), "default")
        assert made["metadata"]["uid"]
        assert made["kind"] == "ConfigMap"
        assert await client.get(CONFIG_MAPS, "a", "default") == made
        changed = await client.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
        assert changed["data"] == {"x": "2"}
        assert changed["metadata"]["resourceVersion"] > made["metadata"]["resourceVersion"]
        patched = await client.patch(CONFIG_MAPS, "a", {"data": {"y": "3"}}, "default")
        assert patched["data"] == {"x": "2", "y": "3"}
        await client.delete(CONFIG_MAPS, "a", "default", uid=made["metadata"]["uid"])
        with pytest.raises(errors.NotFound):
            await client.get(CONFIG_MAPS, "a", "default")

    check(body)


def test_the_three_patches(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        await Client(transport).create(DEPLOYMENTS, deployment())
        container = {"name": "c", "image": "nginx:2"}
        spec = {"template": {"spec": {"containers": [container]}}}

        async def patch(media: str, value: Any) -> Any:
            wanted = Request("patch", DEPLOYMENTS, "default", "web", body=value, patch_type=media)
            return await transport.call(wanted)

        merged = await patch(STRATEGIC_PATCH, {"spec": spec})
        (one,) = merged["spec"]["template"]["spec"]["containers"]
        assert one["image"] == "nginx:2"
        assert one["imagePullPolicy"] == "IfNotPresent"  # kept: the list is merged by name
        found = await patch(JSON_PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 3}])
        assert found["spec"]["replicas"] == 3
        found = await patch(MERGE_PATCH, {"metadata": {"labels": {"a": "b"}}})
        assert found["metadata"]["labels"] == {"a": "b"}

    check(body)


def test_refusals_have_their_types(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        client = Client(transport)
        made = await client.create(CONFIG_MAPS, config_map("a"), "default")
        with pytest.raises(errors.AlreadyExists, match='configmaps "a" already exists'):
            await client.create(CONFIG_MAPS, config_map("a"), "default")
        await client.update(CONFIG_MAPS, {**made, "data": {"x": "1"}})
        with pytest.raises(errors.Conflict):
            await client.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
        with pytest.raises(errors.Conflict):
            await client.delete(CONFIG_MAPS, "a", "default", uid="another")
        with pytest.raises(errors.Invalid) as caught:
            await client.create(PODS, pod(containers=[]))
        status = caught.value.status()
        assert status["reason"] == "Invalid"
        assert status["details"]["causes"][0]["field"] == "spec.containers"
        with pytest.raises(errors.NotFound):
            await client.list(Resource("", "v1", "nothings"))

    check(body)


def test_a_list_comes_in_pages(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        client = Client(transport)
        for number in range(7):
            await client.create(CONFIG_MAPS, config_map(f"c{number}"), "default")
        page = await transport.call(Request("list", CONFIG_MAPS, "default", options={"limit": "3"}))
        assert len(page["items"]) == 3
        assert page["metadata"]["remainingItemCount"] == 4
        items, revision = await client.list(CONFIG_MAPS, "default", limit="3")
        assert [each["metadata"]["name"] for each in items] == [f"c{n}" for n in range(7)]
        assert revision == page["metadata"]["resourceVersion"]

    check(body)


def test_a_watch_tells_every_change_in_order(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        client = Client(transport)
        _, revision = await client.list(CONFIG_MAPS)
        made = await client.create(CONFIG_MAPS, config_map("a"), "default")
        await client.update(CONFIG_MAPS, {**made, "data": {"long": "x" * 200_000}})
        await client.delete(CONFIG_MAPS, "a", "default")
        watch = client.watch(CONFIG_MAPS, resourceVersion=revision)
        found = await take(watch, 3)
        assert [event.type for event in found] == ["ADDED", "MODIFIED", "DELETED"]
        assert len(found[2].object["data"]["long"]) == 200_000
        revisions = [int(event.object["metadata"]["resourceVersion"]) for event in found]
        assert revisions == sorted(set(revisions))

    check(body)


def test_a_watch_of_a_label_sees_what_stops_matching_as_deleted(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        client = Client(transport)
        _, revision = await client.list(CONFIG_MAPS)
        labelled = config_map("a")
        labelled["metadata"]["labels"] = {"on": "yes"}
        await client.create(CONFIG_MAPS, labelled, "default")
        gone = {"metadata": {"labels": {"on": "no"}}}
        await client.patch(CONFIG_MAPS, "a", gone, "default")
        watch = client.watch(CONFIG_MAPS, resourceVersion=revision, labelSelector="on=yes")
        assert [event.type for event in await take(watch, 2)] == ["ADDED", "DELETED"]

    check(body)


def test_a_watch_in_the_future_is_refused(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        watch = transport.watch(
            Request("watch", CONFIG_MAPS, options={"resourceVersion": "999999"})
        )
        with pytest.raises(errors.ApiError) as caught:
            await anext(watch)
        assert caught.value.status()["reason"] == "Timeout"

    check(body)


def test_many_at_once(check: Check) -> None:
    async def body(transport: Transport, _: ApiServer) -> None:
        client = Client(transport)
        names = [f"c{number}" for number in range(100)]
        await asyncio.gather(
            *(client.create(CONFIG_MAPS, config_map(name), "default") for name in names)
        )
        found = await asyncio.gather(*(client.get(CONFIG_MAPS, name, "default") for name in names))
        assert [each["metadata"]["name"] for each in found] == names

    check(body)


def test_who_may_nothing_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            nobody = User("nobody", ("system:authenticated",))
            for transport in (server.http("nobody-token"), server.local_as(nobody)):
                with pytest.raises(errors.Forbidden, match='User "nobody" cannot list'):
                    await Client(transport).list(CONFIG_MAPS, "default")
                await transport.close()

    asyncio.run(main())


class Flaky:
    """A server that answers once a connection, then closes it behind the answer."""

    def __init__(self) -> None:
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except EOFError:
                break
            self.requests += 1
            if not first:
                break
            first = False
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()


def test_only_a_read_is_sent_again() -> None:
    async def main() -> None:
        flaky = Flaky()
        server = await asyncio.start_server(flaky.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = HttpTransport(f"http://127.0.0.1:{port}", None, RealClock())
        read = Request("get", CONFIG_MAPS, "default", "a")
        assert await transport.call(read) == {}
        assert await transport.call(read) == {}
        assert flaky.requests == 3
        with pytest.raises(Unavailable):
            await transport.call(Request("create", CONFIG_MAPS, "default", body={"a": 1}))
        assert flaky.requests == 4
        await transport.close()
        server.close()

    asyncio.run(main())


def test_a_server_that_is_not_there() -> None:
    async def main() -> None:
        transport = HttpTransport("http://127.0.0.1:1", None, RealClock())
        with pytest.raises(Unavailable, match=r"API: 127\.0\.0\.1:1: "):
            await transport.call(Request("list", CONFIG_MAPS))

    asyncio.run(main())

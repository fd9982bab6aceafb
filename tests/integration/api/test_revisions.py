"""Many writers at once, and revisions and tokens that are old, forged or not yet there."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.api.cache import REMEMBERED
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import CONFIG_MAPS
from dockyard.cluster.client.transport import Request
from dockyard.cluster.meta import errors
from helpers.apiobjects import config_map
from helpers.apiserver import MAPS, ApiServer, ask, run

# F16: writers


def test_f16_a_thousand_writers_lose_nothing(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        client = server.client
        await client.create(CONFIG_MAPS, config_map("counter", n="0"), "default")
        conflicts = 0

        async def add_one() -> None:
            nonlocal conflicts
            while True:
                found = await client.get(CONFIG_MAPS, "counter", "default")
                data = {"n": str(int(found["data"]["n"]) + 1)}
                try:
                    await client.update(CONFIG_MAPS, {**found, "data": data})
                except errors.Conflict:
                    conflicts += 1
                    continue
                return

        async def writer(count: int) -> None:
            for _ in range(count):
                await add_one()

        await asyncio.gather(*(writer(100) for _ in range(10)))
        found = await client.get(CONFIG_MAPS, "counter", "default")
        assert found["data"]["n"] == "1000"
        assert conflicts > 0

    run(tmp_path, body)


def test_f16_patches_at_once_are_all_there(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        client = server.client
        await client.create(CONFIG_MAPS, config_map("a"), "default")

        async def put(number: int) -> int:
            for _ in range(100):
                try:
                    await client.patch(CONFIG_MAPS, "a", {"data": {f"k{number}": "1"}}, "default")
                except errors.Conflict:
                    continue
                return number
            raise AssertionError(number)

        await asyncio.gather(*(put(number) for number in range(50)))
        found = await client.get(CONFIG_MAPS, "a", "default")
        assert len(found["data"]) == 50

    run(tmp_path, body)


def test_f16_preconditions_and_a_new_life(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        client = server.client
        first = await client.create(CONFIG_MAPS, config_map("a"), "default")
        results = await asyncio.gather(
            *(client.update(CONFIG_MAPS, {**first, "data": {"by": str(n)}}) for n in range(20)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, errors.Conflict) for each in results) == 19
        for stale in ({"uid": "no"}, {"resourceVersion": first["metadata"]["resourceVersion"]}):
            with pytest.raises(errors.Conflict):
                await server.local.call(
                    Request("delete", CONFIG_MAPS, "default", "a", body={"preconditions": stale})
                )
        await client.delete(CONFIG_MAPS, "a", "default", uid=first["metadata"]["uid"])
        second = await client.create(CONFIG_MAPS, config_map("a"), "default")
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        with pytest.raises(errors.Conflict):
            await client.update(CONFIG_MAPS, first)
        old_life = {**second, "metadata": {**first["metadata"], "resourceVersion": ""}}
        with pytest.raises(errors.Conflict):
            await client.update(CONFIG_MAPS, old_life)
        unconditional = {"metadata": {"name": "a"}, "data": {"x": "1"}}
        wanted = Request("update", CONFIG_MAPS, "default", "a", body=unconditional)
        assert (await server.local.call(wanted))["data"] == {"x": "1"}

    run(tmp_path, body)


# F17: revisions


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("resourceVersion=abc", 400, "BadRequest"),
        ("resourceVersion=-1", 400, "BadRequest"),
        ("resourceVersion=1.5", 400, "BadRequest"),
        ("resourceVersion=99999999", 504, "Timeout"),
        ("resourceVersion=99999999&resourceVersionMatch=Exact", 504, "Timeout"),
        (f"resourceVersion={'9' * 5000}", 400, "BadRequest"),
        ("watch=1&resourceVersion=abc", 400, "BadRequest"),
        ("watch=1&resourceVersion=99999999", 504, "Timeout"),
        ("continue=forged", 400, "BadRequest"),
        ("continue=e30", 400, "BadRequest"),
        ("limit=-1", 400, "BadRequest"),
        ("limit=many", 400, "BadRequest"),
        ("timeoutSeconds=x&watch=1", 400, "BadRequest"),
        ("resourceVersion=1&resourceVersionMatch=Sometimes", 422, "Invalid"),
        ("resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid"),
        ("watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", 422, "Invalid"),
        ("resourceVersion=1&resourceVersionMatch=Exact&continue=x", 422, "Invalid"),
        ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 422, "Invalid"),
        ("sendInitialEvents=true", 422, "Invalid"),
        ("labelSelector=a%20b%20c", 400, "BadRequest"),
        ("fieldSelector=spec.nothing%3D1", 400, "BadRequest"),
    ],
)
def test_f17_revisions_and_options(tmp_path: Path, query: str, code: int, reason: str) -> None:
    async def body(server: ApiServer) -> None:
        found = await ask(server, f"{MAPS}?{query}")
        assert found.code == code, found
        assert found.status["reason"] == reason
        if code == 504:
            details = found.status["details"]
            assert details["causes"][0]["reason"] == "ResourceVersionTooLarge"
            assert details["retryAfterSeconds"] == 1
            assert "Retry-After: 1" in found.headers

    run(tmp_path, body)


def token(**fields: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


@pytest.mark.parametrize("verb", ["list", "deletecollection"])
def test_f17_a_forged_token_does_not_leave_its_collection(tmp_path: Path, verb: str) -> None:
    async def body(server: ApiServer) -> None:
        made = await server.client.create(CONFIG_MAPS, config_map("hidden"), "other")
        revision = int(made["metadata"]["resourceVersion"])
        for start in ("", "/", "/registry/core/configmaps/a", "/registry/", "/registry/core/a"):
            options = {"continue": token(v="dockyard/v1", rv=revision, start=start), "limit": "9"}
            for at in (revision, revision - 1):
                options["continue"] = token(v="dockyard/v1", rv=at, start=start)
                found = await server.local.call(
                    Request(verb, CONFIG_MAPS, "default", options=options)
                )
                assert found["items"] == []
        assert await server.client.get(CONFIG_MAPS, "hidden", "other")

    run(tmp_path, body)


@pytest.mark.parametrize(
    "data",
    [b"", b"[" * 40_000, b"[]", b"null", b'{"rv":1}', b'{"start":1,"rv":1}',
     b'{"start":"","rv":"1"}',
     b'{"start":"\\ud800","rv":1}', b'{"start":"","rv":9223372036854775808}'],
)  # fmt: skip
def test_f17_what_is_no_token_is_a_400(tmp_path: Path, data: bytes) -> None:
    async def body(server: ApiServer) -> None:
        options = {"continue": base64.urlsafe_b64encode(data).decode() or "%", "limit": "9"}
        with pytest.raises(errors.BadRequest, match="continue key"):
            await server.local.call(Request("list", CONFIG_MAPS, "default", options=options))

    run(tmp_path, body)


def test_f17_a_token_across_compaction(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        client = server.client
        for number in range(4):
            await client.create(CONFIG_MAPS, config_map(f"c{number}"), "default")
        wanted = Request("list", CONFIG_MAPS, "default", options={"limit": "2"})
        page = await server.local.call(wanted)
        await client.create(CONFIG_MAPS, config_map("c9"), "default")
        going_on = {"limit": "2", "continue": page["metadata"]["continue"]}
        rest = await server.local.call(Request("list", CONFIG_MAPS, "default", options=going_on))
        assert [each["metadata"]["name"] for each in rest["items"]] == ["c2", "c3"]
        assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]
        await server.store.compact(server.store.revision())
        with pytest.raises(errors.Expired):
            await server.local.call(Request("list", CONFIG_MAPS, "default", options=going_on))

    run(tmp_path, body)


def test_f17_a_watch_of_what_is_forgotten(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        client = server.client
        made = await client.create(CONFIG_MAPS, config_map("a"), "default")
        start = made["metadata"]["resourceVersion"]
        for number in range(REMEMBERED + 1):
            made = await client.patch(CONFIG_MAPS, "a", {"data": {"n": str(number)}}, "default")
        found = await ask(server, f"{MAPS}?watch=1&resourceVersion={start}")
        assert found.status["code"] == 410
        assert found.status["reason"] == "Expired"
        edge = str(int(made["metadata"]["resourceVersion"]) - 1)
        await client.delete(CONFIG_MAPS, "a", "default")
        events = Client(server.http()).watch(CONFIG_MAPS, resourceVersion=edge)
        assert [(await anext(events)).type for _ in range(2)] == ["MODIFIED", "DELETED"]

    run(tmp_path, body)

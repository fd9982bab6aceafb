"""Thousands of objects: lists and watches are whole, and others have their turn meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dockyard.cluster.api.cache import MOST_WAITING
from dockyard.cluster.api.front import SLICE
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import CONFIG_MAPS
from dockyard.cluster.client.transport import Request
from helpers.apiobjects import config_map
from helpers.apiserver import MAPS, ApiServer, ask, run

COUNT = MOST_WAITING + 200
TABLE = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def names(items: Any) -> list[str]:
    return [each["metadata"]["name"] for each in items]


async def fill(server: ApiServer) -> list[str]:
    wanted = [f"m{number:05}" for number in range(COUNT)]
    for name in wanted:
        obj = config_map(name, a="x" * 100)
        obj["metadata"]["labels"] = {"last": name[-1]}
        await server.client.create(CONFIG_MAPS, obj, "default")
    return wanted


async def turns_while(work: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """What came of it, and how often the loop had time for somebody else."""
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(somebody_else())
    found = await work()
    task.cancel()
    return found, turns


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One server with all of them, asked in each way."""
    found: dict[str, Any] = {}

    async def body(server: ApiServer) -> None:
        found["wanted"] = await fill(server)
        for way, path, accept in (
            ("list", MAPS, ()),
            ("table", MAPS, (TABLE,)),
            ("labels", f"{MAPS}?labelSelector=last%3D7", ()),
            ("fields", f"{MAPS}?fieldSelector=metadata.name%3Dm00007", ()),
        ):
            found[way] = await turns_while(lambda p=path, a=accept: ask(server, p, *a))  # type: ignore[misc]
        pages: list[str] = []
        options = {"limit": "1000", "labelSelector": "last in (1,2,3)"}
        while True:
            page = await server.local.call(Request("list", CONFIG_MAPS, "default", options=options))
            pages += names(page["items"])
            found["metadata of a page"] = found.get("metadata of a page", page["metadata"])
            if not page["metadata"].get("continue"):
                break
            options = {**options, "continue": page["metadata"]["continue"]}
        found["pages"] = pages
        for way, client in (("local", server.client), ("http", Client(server.http()))):
            events = client.watch(CONFIG_MAPS, "default", resourceVersion="0")
            found[f"watch {way}"] = [await anext(events) for _ in range(COUNT)]
            await server.client.patch(CONFIG_MAPS, "m00000", {"data": {"b": way}}, "default")
            found[f"after {way}"] = await anext(events)
            await events.aclose()  # type: ignore[attr-defined]

    run(tmp_path_factory.mktemp("many"), body)
    return found


def test_a_large_list_is_whole_in_every_form(outcome: dict[str, Any]) -> None:
    answer, _ = outcome["list"]
    assert f"Content-Length: {len(answer.body)}\r\n" in answer.headers + "\r\n"
    assert names(json.loads(answer.body)["items"]) == outcome["wanted"]
    table = json.loads(outcome["table"][0].body)
    assert [row["cells"][0] for row in table["rows"]] == outcome["wanted"]
    labelled = json.loads(outcome["labels"][0].body)
    assert names(labelled["items"]) == [name for name in outcome["wanted"] if name[-1] == "7"]
    assert names(json.loads(outcome["fields"][0].body)["items"]) == ["m00007"]


def test_pages_of_a_selection(outcome: dict[str, Any]) -> None:
    assert outcome["pages"] == [name for name in outcome["wanted"] if name[-1] in "123"]
    assert "continue" in outcome["metadata of a page"]
    assert "remainingItemCount" not in outcome["metadata of a page"]  # nobody has counted them


@pytest.mark.parametrize("way", ["list", "table", "labels", "fields"])
def test_others_have_their_turn_meanwhile(outcome: dict[str, Any], way: str) -> None:
    assert outcome[way][1] >= COUNT // SLICE


@pytest.mark.parametrize("way", ["local", "http"])
def test_a_watch_may_begin_with_more_than_waits_for_anybody(
    outcome: dict[str, Any], way: str
) -> None:
    events = outcome[f"watch {way}"]
    assert {event.type for event in events} == {"ADDED"}
    assert names(event.object for event in events) == outcome["wanted"]
    after = outcome[f"after {way}"]
    assert after.type == "MODIFIED"
    assert after.object["data"]["b"] == way

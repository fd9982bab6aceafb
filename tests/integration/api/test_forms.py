"""The forms in which the API tells what it has: discovery, Tables, metadata, bookmarks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.cluster.api.cache import MOST_WAITING
from dockyard.cluster.api.watching import BOOKMARK_SECONDS
from dockyard.cluster.client.resources import CONFIG_MAPS, DEPLOYMENTS
from helpers.apiobjects import config_map, deployment
from helpers.apiserver import MAPS, ApiServer, ask, run, serving
from helpers.wires import FakeTransport

NEWER = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TABLE = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def read(server: ApiServer, path: str, *headers: str) -> Any:
    found = await ask(server, path, *headers)
    assert found.code == 200, found
    return json.loads(found.body)


def test_both_forms_of_discovery_say_the_same(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        newer = {}
        for path in ("/api", "/apis"):
            document = await read(server, path, NEWER)
            assert document["kind"] == "APIGroupDiscoveryList"
            assert document["apiVersion"] == "apidiscovery.k8s.io/v2"
            for group in document["items"]:
                for version in group["versions"]:
                    newer[group["metadata"].get("name", ""), version["version"]] = version
        groups = (await read(server, "/apis"))["groups"]
        older = {(g["name"], v["version"]) for g in groups for v in g["versions"]}
        assert set(newer) == older | {("", "v1")}
        for (group, version), found in newer.items():
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            listed = (await read(server, path))["resources"]
            resources = {each["name"]: each for each in listed if "/" not in each["name"]}
            assert [each["resource"] for each in found["resources"]] == list(resources)
            for each in found["resources"]:
                one = resources[each["resource"]]
                assert each["verbs"] == one["verbs"]
                assert each["responseKind"]["kind"] == one["kind"]
                assert (each["scope"] == "Namespaced") is one["namespaced"]
                assert each.get("shortNames") == one.get("shortNames")
                assert each.get("categories") == one.get("categories")
                below = {f"{each['resource']}/{sub['subresource']}"
                         for sub in each.get("subresources", ())}  # fmt: skip
                assert below == {
                    one["name"] for one in listed if one["name"].startswith(f"{each['resource']}/")
                }

    run(tmp_path, body)


def test_tables_and_metadata_alone(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        await server.client.create(DEPLOYMENTS, deployment())
        path = "/apis/apps/v1/namespaces/default/deployments"
        table = await read(server, path, TABLE)
        assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        assert [each["name"] for each in table["columnDefinitions"] if not each["priority"]] == [
            "Name", "Ready", "Up-to-date", "Available", "Age",
        ]  # fmt: skip
        (row,) = table["rows"]
        assert row["cells"][:4] == ["web", "0/1", 0, 0]
        assert row["object"]["kind"] == "PartialObjectMetadata"
        assert table["metadata"]["resourceVersion"]
        whole = await read(server, f"{path}?includeObject=Object", TABLE)
        assert whole["rows"][0]["object"]["spec"]["replicas"] == 1
        none = await read(server, f"{path}/web?includeObject=None", TABLE)
        assert "object" not in none["rows"][0]
        partial = await read(server, path, PARTIAL)
        assert partial["kind"] == "PartialObjectMetadataList"
        (item,) = partial["items"]
        assert item["kind"] == "PartialObjectMetadata"
        assert "spec" not in item
        refused = await ask(server, path, "Accept: text/html")
        assert refused.status["reason"] == "NotAcceptable"

    run(tmp_path, body)


def test_a_watch_that_asks_for_bookmarks_gets_them(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        async with serving(tmp_path, clock=clock) as server:
            made = await server.client.create(CONFIG_MAPS, config_map("a"), "default")
            start = made["metadata"]["resourceVersion"]
            watches = {}
            for asks in ("true", "false"):
                client = watches[asks] = FakeTransport(server.plane.connection())
                path = f"{MAPS}?watch=1&resourceVersion={start}&allowWatchBookmarks={asks}"
                client.feed(f"GET {path} HTTP/1.1\r\nHost: a\r\n"
                            "Authorization: Bearer admin-token\r\n\r\n".encode())  # fmt: skip
            await clock.settle()
            other = await server.client.create(CONFIG_MAPS, config_map("b"), "other")
            await clock.advance(BOOKMARK_SECONDS)
            assert b"BOOKMARK" not in watches["false"].take()
            lines = [line for line in watches["true"].take().split(b"\r\n") if line[:1] == b"{"]
            (event,) = [json.loads(line) for line in lines]
            assert event["type"] == "BOOKMARK"
            assert event["object"]["kind"] == "ConfigMap"
            revision = event["object"]["metadata"]["resourceVersion"]
            assert revision == other["metadata"]["resourceVersion"]  # though it is elsewhere
            for client in watches.values():
                client.lost()
            await clock.settle()

    run_turnable(clock, main())


def test_g17_a_watcher_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        async with serving(tmp_path, clock=clock) as server:
            made = await server.client.create(CONFIG_MAPS, config_map("a"), "default")
            path = f"{MAPS}?watch=1&resourceVersion={made['metadata']['resourceVersion']}"
            slow, quick = (FakeTransport(server.plane.connection()) for _ in range(2))
            for client in (slow, quick):
                client.feed(f"GET {path} HTTP/1.1\r\nHost: a\r\n"
                            "Authorization: Bearer admin-token\r\n\r\n".encode())  # fmt: skip
            await clock.settle()
            slow.protocol.pause_writing()
            seen = 0
            for number in range(MOST_WAITING + 2):
                patch = {"data": {"n": str(number)}}
                await server.client.patch(CONFIG_MAPS, "a", patch, "default")
                await asyncio.sleep(0)
                seen += quick.take().count(b'"MODIFIED"')
            await clock.settle()
            seen += quick.take().count(b'"MODIFIED"')
            assert slow.aborted
            assert not quick.closing
            assert seen == MOST_WAITING + 2
            for client in (slow, quick):
                client.lost()
            await clock.settle()

    run_turnable(clock, main())

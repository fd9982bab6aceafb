"""Every built-in kind of 1.33: served as published, and every verb does its work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.aio.clock import RealClock
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.transport import Request, Resource
from dockyard.cluster.meta import errors
from helpers.apiserver import ApiServer, serving
from helpers.minimal import BODIES, minimal

GOLDEN = Path(__file__).parents[2] / "golden" / "kinds" / "resources-1.33.txt"
ALL = "create delete deletecollection get list patch update watch".split()
LINES = [
    line.split("|") for line in GOLDEN.read_text().splitlines() if line and not line.startswith("#")
]
TOP = [line for line in LINES if "/" not in line[1]]
STORED = [line for line in TOP if line[7] == "*" or "watch" in line[7]]
MARK = {"metadata": {"labels": {"mark": "yes"}}}


def verbs_of(line: list[str]) -> list[str]:
    return ALL if line[7] == "*" else line[7].split()


def resource_of(line: list[str]) -> Resource:
    group, _, version = line[0].rpartition("/")
    return Resource(group, version, line[1])


def test_the_table_has_every_kind_that_is_stored() -> None:
    assert {f"{line[0]}|{line[1]}" for line in STORED} == set(BODIES)


@pytest.mark.parametrize("line", STORED, ids=lambda line: f"{line[0]}-{line[1]}")
def test_every_verb(line: list[str], tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server, RealClock().timeout(20):
            await life(Client(server.local), line)

    asyncio.run(main())


async def life(client: Client, line: list[str]) -> None:
    """Create, get, list, patch, update, watch, delete: each says what the one before did."""
    group_version, plural, kind = line[:3]
    resource = resource_of(line)
    where = "default" if line[3] == "N" else ""
    given = minimal(group_version, plural, kind)
    name = given["metadata"]["name"]

    dry = Request("create", resource, where, body=given, options={"dryRun": "All"})
    tried = (await client.transport.call(dry))["metadata"]
    assert tried["name"] == name
    assert "resourceVersion" not in tried  # it is of no revision
    made = await client.create(resource, given, where)
    assert (made["kind"], made["apiVersion"]) == (kind, group_version)
    assert made["metadata"].get("namespace", "") == where
    assert {"uid", "resourceVersion", "creationTimestamp"} <= made["metadata"].keys()
    assert await client.get(resource, name, where) == made
    with pytest.raises(errors.AlreadyExists):
        await client.create(resource, given, where)

    items, revision = await client.list(resource, where, fieldSelector=f"metadata.name={name}")
    assert [item["metadata"]["uid"] for item in items] == [made["metadata"]["uid"]]
    patched = await client.patch(resource, name, MARK, where)
    assert patched["metadata"]["labels"]["mark"] == "yes"
    same = await client.update(resource, patched)
    assert same["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]
    events = client.watch(resource, where, resourceVersion=revision, labelSelector="mark")
    assert (await anext(events)).object == patched
    if plural == "namespaces":
        return  # goes when its controller has emptied it
    if "deletecollection" in verbs_of(line):
        wanted = Request("deletecollection", resource, where, options={"labelSelector": "mark"})
        await client.transport.call(wanted)
    finalizers = (await remaining(client, resource, name, where)).get("finalizers")
    if finalizers:
        await client.patch(resource, name, {"metadata": {"finalizers": None}}, where)
    with pytest.raises(errors.NotFound):
        await client.get(resource, name, where)
    seen = await anext(events)
    while seen.type == "MODIFIED":
        seen = await anext(events)
    assert seen.type == "DELETED"


async def remaining(client: Client, resource: Resource, name: str, where: str) -> Any:
    """The metadata of what waits for its finalizers."""
    try:
        return (await client.get(resource, name, where))["metadata"]
    except errors.NotFound:
        return {}


async def document(server: ApiServer, path: str) -> Any:
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    answer = await server.raw(f"{head}Authorization: Bearer admin-token\r\n\r\n".encode())
    first, _, body = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 "), first
    return json.loads(body)


def test_the_served_discovery_is_as_published(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            for group_version in dict.fromkeys(line[0] for line in LINES):
                prefix = "/apis/" if "/" in group_version else "/api/"
                served = await document(server, prefix + group_version)
                by_name = {each["name"]: each for each in served["resources"]}
                wanted = [line for line in LINES if line[0] == group_version]
                assert set(by_name) == {line[1] for line in wanted}
                for line in wanted:
                    one = by_name[line[1]]
                    assert one["verbs"] == verbs_of(line), line
                    assert one["kind"] == line[2].rpartition(" ")[2]
                    if "/" not in line[1]:
                        assert one["namespaced"] == (line[3] == "N")
                        assert one["singularName"] == line[4]
                        assert one.get("shortNames", []) == [n for n in line[5].split(",") if n]

    asyncio.run(main())

"""What a hostile or broken client sends: refused with a Status, and nothing else changes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dockyard.base.aio.clock import RealClock
from dockyard.cluster.api.cache import REMEMBERED
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from dockyard.cluster.client.transport import JSON_PATCH, MERGE_PATCH, Request
from dockyard.cluster.meta import errors
from helpers.apiobjects import deployment, pod
from helpers.apiserver import ApiServer, serving

MAPS = "/api/v1/namespaces/default/configmaps"
Body = Callable[[ApiServer], Awaitable[None]]


class Answer(NamedTuple):
    code: int
    headers: str
    body: bytes

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        assert found["kind"] == "Status"
        assert found["code"] == self.code
        return found


def run(tmp_path: Path, body: Body) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server, RealClock().timeout(60):
            await body(server)

    asyncio.run(main())


async def ask(
    server: ApiServer,
    path: str,
    *headers: str,
    method: str = "GET",
    body: bytes = b"",
    media: str = "application/json",
    token: str = "admin-token",
) -> Answer:
    ending = () if any("Upgrade" in header for header in headers) else ("Connection: close",)
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *ending, *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body or method != "GET":
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    answer = await server.raw("\r\n".join([*lines, "", ""]).encode() + body)
    head, _, rest = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ")[1]), head.decode(), rest)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


# F01: who somebody is


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (["Authorization: Bearer wrong"], 401),
        (["Authorization: Bearer "], 401),
        (["Authorization: Bearer"], 401),
        (["Authorization: "], 401),
        (["authorization: BASIC YWRtaW46YWRtaW4="], 401),
        (["Authorization: admin-token"], 401),
        (["Authorization: Bearer admin-token", "Authorization: Bearer nobody-token"], 401),
        (["Authorization: Bearer admin-token", "authorization: Bearer admin-token"], 401),
        (["Authorization: Bearer admin-token, Bearer nobody-token"], 401),
        (["Authorization: Bearer admin-token\xff"], 401),
        ([], 403),
        (["X-Remote-User: admin", "X-Remote-Group: system:masters"], 403),
        (["X-Forwarded-User: admin"], 403),
        (["Authorization: Bearer nobody-token"], 403),
        (["Authorization: Bearer admin-token", "Impersonate-User: system:admin"], 403),
        (["Authorization: Bearer admin-token", "Impersonate-Uid: 1"], 403),
        (["Authorization: Bearer admin-token", "Impersonate-Group: system:masters"], 403),
        (["Authorization: Bearer admin-token", "Impersonate-Extra-Scopes: a"], 403),
        (["Authorization: Bearer admin-token", "Impersonate-User: "], 403),
        (["Authorization: bearer admin-token"], 200),
    ],
)
def test_f01_credentials(tmp_path: Path, headers: list[str], code: int) -> None:
    async def body(server: ApiServer) -> None:
        found = await ask(server, MAPS, *headers, token="")
        assert found.code == code
        if code != 200:
            reason = {401: "Unauthorized", 403: "Forbidden"}[code]
            assert found.status["reason"] == reason

    run(tmp_path, body)


def test_f01_anonymous_sees_health_and_nothing_else(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        for path in ("/healthz", "/livez", "/readyz", "/version"):
            assert (await ask(server, path, token="")).code == 200
        for path in ("/api", "/apis", "/openapi/v2", "/metrics", "/", "/api/v1/nodes"):
            assert (await ask(server, path, token="")).code == 403

    run(tmp_path, body)


# F04: paths


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/default/nodes",
        "/api/v1/namespaces/default/nodes/a",
        "/api/v1/namespaces/default/persistentvolumes",
        "/apis/apps/v1/deployments/web",
        "/apis/apps/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/configmaps/a/unknown",
        "/api/v1/namespaces/default/configmaps/a/status",
        "/api/v2/pods",
        "/apis/apps/v9/deployments",
    ],
)
def test_f04_a_scope_or_resource_that_is_not(tmp_path: Path, path: str) -> None:
    async def body(server: ApiServer) -> None:
        assert (await ask(server, path)).status["reason"] == "NotFound"

    run(tmp_path, body)


@pytest.mark.parametrize(
    "path",
    [
        f"{MAPS}/..",
        f"{MAPS}/../../other/configmaps/secret",
        f"{MAPS}/%2e%2e",
        f"{MAPS}/..%2f..%2fother%2fconfigmaps",
        "/api/v1/namespaces/default%2fother/configmaps/secret",
        "/api/v1/namespaces/%6fther%2f/configmaps/secret",
        "/api/v1/namespaces//configmaps",
        f"{MAPS}/a%00b",
        f"{MAPS}/%252e%252e",
        f"{MAPS}/%ff",
        f"{MAPS}/a%0d%0aX-Evil:1",
    ],
)
def test_f04_tricks_in_parts_of_a_path(tmp_path: Path, path: str) -> None:
    async def body(server: ApiServer) -> None:
        await server.client.create(CONFIG_MAPS, config_map("secret", found="treasure"), "other")
        found = await ask(server, path)
        assert found.code in (400, 404)
        assert found.status["status"] == "Failure"
        assert b"treasure" not in found.body

    run(tmp_path, body)


def test_f04_a_namespace_is_no_prefix_of_another(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        await server.client.create(CONFIG_MAPS, config_map("hidden"), "other")
        found = await ask(server, "/api/v1/namespaces/oth/configmaps")
        assert json.loads(found.body)["items"] == []
        for where in ("default", "oth"):
            wanted = f"/api/v1/namespaces/{where}/configmaps?fieldSelector=metadata.name%3Dhidden"
            assert json.loads((await ask(server, wanted)).body)["items"] == []

    run(tmp_path, body)


def test_f04_the_body_cannot_name_another_place(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        moved = {"metadata": {"name": "a", "namespace": "other"}}
        with pytest.raises(errors.BadRequest):
            await server.client.create(CONFIG_MAPS, moved, "default")
        made = await server.client.create(CONFIG_MAPS, config_map("a"), "default")
        renamed = {**made, "metadata": {**made["metadata"], "name": "b"}}
        wanted = Request("update", CONFIG_MAPS, "default", "a", body=renamed)
        with pytest.raises(errors.BadRequest):
            await server.local.call(wanted)
        for name in ("../other/a", "a/b", "A", ".", "", "a" * 254):
            with pytest.raises(errors.ApiError):
                await server.client.create(CONFIG_MAPS, config_map(name), "default")

    run(tmp_path, body)


# F06: upgrades


@pytest.mark.parametrize("what", ["exec?command=id", "attach", "portforward"])
def test_f06_a_stream_needs_the_right_to_create(tmp_path: Path, what: str) -> None:
    async def body(server: ApiServer) -> None:
        await server.client.create(PODS, pod())
        path = f"/api/v1/namespaces/default/pods/a/{what}"
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
        found = await ask(server, path, *upgrade, token="nobody-token")
        assert found.code == 403
        assert "cannot create resource" in found.status["message"]
        found = await ask(server, path, *upgrade)
        assert found.code == 400  # the pod has no node
        assert "does not have a host assigned" in found.status["message"]

    run(tmp_path, body)


# F09: bodies


NESTED = b'{"metadata":{"name":"a"},"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001


@pytest.mark.parametrize(
    ("sent", "media", "code"),
    [
        (NESTED, "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"a: " + b"[" * 100_000, "application/yaml", 400),
        (b"{" * 50_000 + b"}" * 50_000, "application/yaml", 400),
        (b'{"metadata":{"name":"a"},"data":{"a":NaN}}', "application/json", 400),
        (b'{"metadata":{"name":"a"},"data":{"a":Infinity}}', "application/json", 400),
        (b'{"metadata":{"name":"a","generation":' + b"9" * 1_000_000 + b"}}",
         "application/json", 400),
        (b'{"metadata":{"name":"a"},"data":{"a":"\xff"}}', "application/json", 400),
        (b'{"metadata":{"name":"a"}', "application/json", 400),
        (b'{"metadata":{"name":"a"}} {}', "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"metadata":[]}', "application/json", 400),
        (b'{"metadata":{"name":["a"]}}', "application/json", 400),
        (b'{"metadata":{"name":"a"}}', "text/plain", 415),
        (b"k8s\x00\x0a", "application/vnd.kubernetes.protobuf", 415),
        (b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
         b"c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
         b"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
         b"g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nmetadata: {name: a}\n", "application/yaml", 400),
        (b"a: !!python/object/apply:os.system [id]\n", "application/yaml", 400),
        (b'{"metadata":{"name":"a"},"data":{"a":"' + b"x" * 3 * 1024 * 1024 + b'"}}',
         "application/json", 413),
    ],
)  # fmt: skip
def test_f09_bodies(tmp_path: Path, sent: bytes, media: str, code: int) -> None:
    async def body(server: ApiServer) -> None:
        found = await ask(server, MAPS, method="POST", body=sent, media=media)
        assert found.code == code, found
        assert found.status["status"] == "Failure"
        items, _ = await server.client.list(CONFIG_MAPS)
        assert items == []
        assert (await ask(server, "/healthz")).body == b"ok"

    run(tmp_path, body)


TWICE = b'{"metadata":{"name":"a"},"data":{"a":"1","a":"2"},"dat":{}}'


def test_f09_field_validation(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        path = f"{MAPS}?fieldValidation="
        found = await ask(server, path + "Strict", method="POST", body=TWICE)
        assert found.code == 400
        assert 'duplicate field "data.a"' in found.status["message"]
        wrong = TWICE.replace(b'"a":"1",', b"")
        found = await ask(server, path + "Strict", method="POST", body=wrong)
        assert found.code == 400
        assert 'unknown field "dat"' in found.status["message"]
        found = await ask(server, path + "Nonsense", method="POST", body=TWICE)
        assert found.code == 400
        found = await ask(server, path + "Warn", method="POST", body=TWICE)
        assert found.code == 201
        assert 'Warning: 299 - "unknown field \\"dat\\""' in found.headers
        assert 'duplicate field' in found.headers  # fmt: skip
        assert json.loads(found.body)["data"] == {"a": "2"}

    run(tmp_path, body)


# F10: patches


async def patch(server: ApiServer, media: str, value: Any) -> Any:
    wanted = Request("patch", CONFIG_MAPS, "default", "a", body=value, patch_type=media)
    return await server.local.call(wanted)


def test_f10_patches_that_grow(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        made = await server.client.create(CONFIG_MAPS, config_map("a", x="y" * 1000), "default")
        many = [{"op": "test", "path": "/data/x", "value": "y"}] * 10_001
        with pytest.raises(errors.TooLarge):
            await patch(server, JSON_PATCH, many)
        doubled = [{"op": "copy", "from": "/data", "path": f"/data/{n}"} for n in range(60)]
        with pytest.raises(errors.ApiError):
            await patch(server, JSON_PATCH, doubled)
        with pytest.raises(errors.ApiError):
            await patch(
                server,
                JSON_PATCH,
                [
                    {"op": "add", "path": "/data/new", "value": "1"},
                    {"op": "test", "path": "/data/x", "value": "no"},
                ],
            )
        assert await server.client.get(CONFIG_MAPS, "a", "default") == made

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("media", "value"),
    [
        (JSON_PATCH, {"op": "add"}),
        (JSON_PATCH, [1]),
        (JSON_PATCH, [{"op": "add", "path": "data/x", "value": "1"}]),
        (JSON_PATCH, [{"op": "remove", "path": "/metadata"}]),
        (JSON_PATCH, [{"op": "replace", "path": "", "value": None}]),
        (JSON_PATCH, [{"op": "replace", "path": "/metadata", "value": "x"}]),
        (MERGE_PATCH, []),
        (MERGE_PATCH, "x"),
        (MERGE_PATCH, {"metadata": None}),
        (MERGE_PATCH, {"metadata": {"name": "b"}}),
        (MERGE_PATCH, {"metadata": {"namespace": "other"}}),
        (MERGE_PATCH, {"metadata": {"uid": "b"}}),
        (MERGE_PATCH, {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}}),
        (MERGE_PATCH, {"metadata": {"labels": 1}}),
        (MERGE_PATCH, {"metadata": {"labels": {"a b": "c"}}}),
        (MERGE_PATCH, {"metadata": {"resourceVersion": "1"}}),
        (MERGE_PATCH, {"kind": "Secret"}),
        (MERGE_PATCH, {"data": {"x": 1}}),
    ],
)
def test_f10_patches_that_are_refused(tmp_path: Path, media: str, value: Any) -> None:
    async def body(server: ApiServer) -> None:
        made = await server.client.create(CONFIG_MAPS, config_map("a", x="y"), "default")
        with pytest.raises(errors.ApiError) as caught:
            await patch(server, media, value)
        assert caught.value.http_code in (400, 409, 422)
        assert await server.client.get(CONFIG_MAPS, "a", "default") == made

    run(tmp_path, body)


def test_f10_what_the_server_owns_stays(tmp_path: Path) -> None:
    async def body(server: ApiServer) -> None:
        made = await server.client.create(DEPLOYMENTS, deployment())
        forged = {"metadata": {"generation": 99}, "status": {"replicas": 7}}  # fmt: skip
        found = await server.client.patch(DEPLOYMENTS, "web", forged, "default")
        for name in ("uid", "creationTimestamp", "generation"):
            assert found["metadata"][name] == made["metadata"][name]
        assert found.get("status") == made.get("status")

    run(tmp_path, body)


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
        ("resourceVersionMatch=Sometimes", 400, "BadRequest"),
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

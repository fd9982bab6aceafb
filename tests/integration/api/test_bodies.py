"""Bodies and patches of a hostile or broken client: a Status, and nothing is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.resources import CONFIG_MAPS, DEPLOYMENTS
from dockyard.cluster.client.transport import JSON_PATCH, MERGE_PATCH, Request
from dockyard.cluster.meta import errors
from helpers.apiobjects import config_map, deployment
from helpers.apiserver import MAPS, ApiServer, ask, run

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
        (b"k8s\x00\x0a", "application/vnd.kubernetes.protobuf", 400),
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
        assert found.status["message"] == (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
            'duplicate field "data.a", unknown field "dat"'
        )
        found = await ask(server, path + "Nonsense", method="POST", body=TWICE)
        assert found.code == 422
        assert found.status["message"] == (
            'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: '
            '"Nonsense": supported values: "Ignore", "Strict", "Warn"'
        )
        found = await ask(server, f"{MAPS}?dryRun=Some", method="POST", body=TWICE)
        assert found.code == 422
        assert found.status["message"] == (
            'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": '
            'supported values: "All"'
        )
        with pytest.raises(errors.NotFound):
            await server.client.get(CONFIG_MAPS, "a", "default")
        for said, name in (("Warn", b"b"), ("", b"c"), ("Ignore", b"d")):
            sent = TWICE.replace(b'"name":"a"', b'"name":"%s"' % name)
            found = await ask(server, path + said, method="POST", body=sent)
            assert found.code == 201
            assert json.loads(found.body)["data"] == {"a": "2"}
            told = [line for line in found.headers.split("\r\n") if line.startswith("Warning")]
            assert told == [] if said == "Ignore" else [
                'Warning: 299 - "duplicate field \\"data.a\\""',
                'Warning: 299 - "unknown field \\"dat\\""',
            ]  # fmt: skip
        doubled = b'{"data":{"x":"1","x":"2"}}'
        path = f"{MAPS}/b?fieldValidation=Strict"
        found = await ask(server, path, method="PATCH", body=doubled, media=MERGE_PATCH)
        assert found.code in (400, 422)
        assert 'strict decoding error: duplicate field "data.x"' in found.status["message"]
        assert "x" not in (await server.client.get(CONFIG_MAPS, "b", "default"))["data"]

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

"""Who asks, for which path, with which upgrade: what is refused, and that nothing leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockyard.cluster.client.resources import CONFIG_MAPS, PODS
from dockyard.cluster.client.transport import Request
from dockyard.cluster.meta import errors
from helpers.apiobjects import config_map, pod
from helpers.apiserver import MAPS, ApiServer, ask, run

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

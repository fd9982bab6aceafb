"""status and scale: each writes its own part of an object, and nothing of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.transport import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Request,
    Resource,
)
from dockyard.cluster.meta import errors
from helpers.apiserver import ApiServer, run
from helpers.minimal import minimal

CONDITION = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
WITH_STATUS: list[tuple[str, str, str, str, dict[str, Any], dict[str, Any]]] = [
    ("", "v1", "pods", "Pod", {"phase": "Running"}, {"activeDeadlineSeconds": 7}),
    ("", "v1", "nodes", "Node", {"conditions": [CONDITION]}, {"unschedulable": True}),
    ("", "v1", "services", "Service", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
     {"sessionAffinity": "ClientIP"}),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", {"phase": "Bound"},
     {"volumeName": "v"}),
    ("apps", "v1", "deployments", "Deployment", {"replicas": 3}, {"replicas": 9}),
    ("apps", "v1", "statefulsets", "StatefulSet", {"replicas": 3}, {"replicas": 9}),
    ("apps", "v1", "daemonsets", "DaemonSet", {"currentNumberScheduled": 1,
     "numberMisscheduled": 0, "desiredNumberScheduled": 1, "numberReady": 1},
     {"minReadySeconds": 9}),
    ("batch", "v1", "jobs", "Job", {"active": 1}, {"parallelism": 9}),
    ("networking.k8s.io", "v1", "ingresses", "Ingress",
     {"loadBalancer": {"ingress": [{"hostname": "a.example.org"}]}}, {"ingressClassName": "x"}),
]  # fmt: skip
SCALED = [("apps", "deployments", "Deployment"), ("apps", "statefulsets", "StatefulSet"),
          ("apps", "replicasets", "ReplicaSet")]  # fmt: skip


async def made(server: ApiServer, resource: Resource, kind: str) -> dict[str, Any]:
    given = minimal(resource.api_version, resource.plural, kind)
    where = "" if kind == "Node" else "default"
    return dict(await server.client.create(resource, given, where))


@pytest.mark.parametrize("row", WITH_STATUS, ids=lambda row: row[2])
def test_status_and_spec_are_written_apart(row: Any, tmp_path: Path) -> None:
    group, version, plural, kind, status, spec = row
    resource = Resource(group, version, plural)

    async def body(server: ApiServer) -> None:
        first = await made(server, resource, kind)
        name, where = first["metadata"]["name"], first["metadata"].get("namespace", "")
        both = {"spec": spec, "status": status}
        for subresource in ("status", ""):
            before = await server.client.get(resource, name, where)
            found = await server.client.patch(resource, name, both, where, subresource)
            mine, other = ("status", "spec") if subresource else ("spec", "status")
            for field, value in (status if subresource else spec).items():
                assert found[mine][field] == value
            assert found.get(other) == before.get(other)
        current = await server.client.get(resource, name, where)
        written = await server.client.update_status(
            resource, {**current, "spec": {**current["spec"], "nothing": 1}, "status": status}
        )
        assert written["spec"] == current["spec"]
        shown = await server.local.call(Request("get", resource, where, name, "status"))
        assert shown == written
        stale = {**first, "status": status}
        with pytest.raises(errors.Conflict):
            await server.client.update_status(resource, stale)

    run(tmp_path, body)


@pytest.mark.parametrize(("group", "plural", "kind"), SCALED, ids=lambda word: word)
def test_scale_by_every_verb(group: str, plural: str, kind: str, tmp_path: Path) -> None:
    resource = Resource(group, "v1", plural)

    async def body(server: ApiServer) -> None:
        first = await made(server, resource, kind)
        name = first["metadata"]["name"]

        async def call(verb: str, value: Any = None, patch: str = "") -> dict[str, Any]:
            request = Request(verb, resource, "default", name, "scale", value, patch)
            return dict(await server.local.call(request))

        scale = await call("get")
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert scale["spec"]["replicas"] == first["spec"]["replicas"]
        labels = first["spec"]["selector"].get("matchLabels", first["spec"]["selector"])
        assert scale["status"]["selector"] == ",".join(f"{k}={v}" for k, v in labels.items())
        changed = await call("update", {**scale, "spec": {"replicas": 4}})
        assert changed["spec"]["replicas"] == 4
        with pytest.raises(errors.Conflict):
            await call("update", {**scale, "spec": {"replicas": 5}})
        for media, value, count in (
            (MERGE_PATCH, {"spec": {"replicas": 6}}, 6),
            (STRATEGIC_PATCH, {"spec": {"replicas": 7}}, 7),
            (JSON_PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 8}], 8),
        ):
            assert (await call("patch", value, media))["spec"]["replicas"] == count
        current = await server.client.get(resource, name, "default")
        assert current["spec"] == {**first["spec"], "replicas": 8}
        for wrong in (-1, "many", True, 1.5):
            with pytest.raises((errors.Invalid, errors.BadRequest)):
                await call("patch", {"spec": {"replicas": wrong}}, MERGE_PATCH)
        assert await server.client.get(resource, name, "default") == current

    run(tmp_path, body)

"""Namespaces that are deleted: what goes first, what keeps them, what is said (F19)."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from dockyard.cluster.client.transport import Resource
from dockyard.cluster.controllers.namespaces import Left, conditions
from dockyard.cluster.meta.errors import Forbidden
from helpers.controllers import Cluster, with_controllers

ALONE = ("namespace",)
POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies")


async def said(cluster: Cluster) -> dict[str, tuple[str, str]]:
    found = await cluster.get(NAMESPACES, "shop")
    return {each["type"]: (each["status"], each.get("message", ""))
            for each in found["status"]["conditions"]}  # fmt: skip


def pod(name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1"}]},
    }


async def shop(cluster: Cluster) -> None:
    await cluster.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await cluster.settle()


def test_all_that_is_in_it_goes(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await shop(cluster)
        await cluster.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "shop"}})
        service = {"metadata": {"name": "s", "namespace": "shop"},
                   "spec": {"ports": [{"port": 80}]}}  # fmt: skip
        await cluster.create(SERVICES, service)
        await cluster.create(CONFIG_MAPS, {"metadata": {"name": "kept"}})
        await cluster.delete(NAMESPACES, "shop")
        await cluster.clock.advance(1)
        assert await cluster.is_gone(NAMESPACES, "shop")
        assert await cluster.list(CONFIG_MAPS, "shop") == []
        assert await cluster.list(SERVICES, "shop") == []
        assert len(await cluster.list(CONFIG_MAPS)) == 1

    with_controllers(tmp_path, ALONE, test)


def test_pods_go_before_the_policies_that_guard_them(tmp_path: Path) -> None:
    """F19 (CVE-2024-7598)."""

    async def test(cluster: Cluster) -> None:
        await shop(cluster)
        policy = {"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"podSelector": {}}}
        await cluster.client.create(POLICIES, policy)
        await cluster.client.create(PODS, pod())
        await cluster.delete(NAMESPACES, "shop")
        await cluster.clock.advance(20)
        assert len(await cluster.list(POLICIES, "shop")) == 1  # the pod is still on its way out
        assert (await said(cluster))["NamespaceContentRemaining"] == (
            "True", "Some resources are remaining: pods. has 1 resource instances",
        )  # fmt: skip
        await cluster.client.delete(PODS, "web", "shop", grace=0)
        await cluster.clock.advance(1)
        assert await cluster.is_gone(NAMESPACES, "shop")

    with_controllers(tmp_path, ALONE, test)


def test_a_finalizer_that_keeps_it_is_named(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await shop(cluster)
        stuck = {"metadata": {"name": "stuck", "namespace": "shop",
                              "finalizers": ["example.org/never"]}}  # fmt: skip
        await cluster.create(CONFIG_MAPS, stuck)
        await cluster.delete(NAMESPACES, "shop")
        await cluster.clock.advance(60)
        found = await said(cluster)
        assert found["NamespaceFinalizersRemaining"] == (
            "True", "Some content in the namespace has finalizers remaining: "
            "example.org/never in 1 resource instances",
        )  # fmt: skip
        assert found["NamespaceContentRemaining"][0] == "True"
        assert found["NamespaceDeletionContentFailure"][0] == "False"
        patch = {"metadata": {"finalizers": None}}
        await cluster.client.patch(CONFIG_MAPS, "stuck", patch, "shop")
        await cluster.clock.advance(1)
        assert await cluster.is_gone(NAMESPACES, "shop")

    with_controllers(tmp_path, ALONE, test)


def test_nothing_comes_into_it_meanwhile(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await shop(cluster)
        await cluster.client.create(PODS, pod())
        await cluster.delete(NAMESPACES, "shop")
        for resource, obj in (
            (CONFIG_MAPS, {"metadata": {"name": "late", "namespace": "shop"}}),
            (PODS, pod("late")),
        ):
            with pytest.raises(Forbidden, match="is being terminated"):
                await cluster.client.create(resource, obj)
        await cluster.client.delete(PODS, "web", "shop", grace=0)
        await cluster.clock.advance(1)
        assert await cluster.is_gone(NAMESPACES, "shop")

    with_controllers(tmp_path, (*ALONE, "serviceaccount"), test)


def test_what_cannot_be_deleted_does_not_keep_the_rest(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        local = cluster.server.local

        class Refusing:
            async def call(self, request: Any) -> Any:
                if request.verb == "deletecollection" and request.resource == SERVICES:
                    raise Forbidden("services: no")
                return await local.call(request)

            watch = staticmethod(local.watch)
            close = staticmethod(local.close)

        await shop(cluster)
        service = {"metadata": {"name": "s", "namespace": "shop"},
                   "spec": {"ports": [{"port": 80}]}}  # fmt: skip
        await cluster.create(SERVICES, service)
        await cluster.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "shop"}})
        cluster.client.transport = Refusing()
        await cluster.delete(NAMESPACES, "shop")
        await cluster.clock.advance(2)
        assert await cluster.list(CONFIG_MAPS, "shop") == []
        assert "services: no" in (await said(cluster))["NamespaceDeletionContentFailure"][1]
        cluster.client.transport = local
        await cluster.clock.advance(60)
        assert await cluster.is_gone(NAMESPACES, "shop")

    with_controllers(tmp_path, ALONE, test)


def test_a_namespace_has_an_account_and_the_authority(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await shop(cluster)
        account = await cluster.client.get(SERVICE_ACCOUNTS, "default", "shop")
        assert account["metadata"]["name"] == "default"
        bundle = await cluster.client.get(CONFIG_MAPS, "kube-root-ca.crt", "shop")
        assert bundle["data"] == {"ca.crt": "authority"}
        await cluster.client.delete(SERVICE_ACCOUNTS, "default", "shop")
        await cluster.settle()
        assert await cluster.client.get(SERVICE_ACCOUNTS, "default", "shop") != account

    with_controllers(tmp_path, ("serviceaccount",), test)


def test_words() -> None:
    found = {each[0]: each[1:] for each in conditions(Left())}
    assert found == {
        "NamespaceDeletionDiscoveryFailure": (
            "False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        "NamespaceDeletionContentFailure": (
            "False", "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization"),
        "NamespaceContentRemaining": (
            "False", "ContentRemoved", "All content successfully removed"),
        "NamespaceFinalizersRemaining": (
            "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    }  # fmt: skip

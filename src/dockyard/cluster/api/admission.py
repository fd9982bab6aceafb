"""Turns an object that somebody wants stored into one that may be, or into a refusal.

One visible list of steps. A step sees the object before defaults are checked, and may change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from dockyard.cluster.api.cache import Caches, key_of
from dockyard.cluster.api.serviceips import ServiceIps
from dockyard.cluster.client.transport import User
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta import errors

ALWAYS_THERE = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


class Attributes(NamedTuple):
    """What is wanted."""

    verb: str
    kind: Kind
    namespace: str
    subresource: str
    user: User
    old: Mapping[str, Any] | None


class Step(Protocol):
    """One rule. Raises ApiError to refuse."""

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None: ...


class NamespaceLifecycle:
    """Nothing is created in a namespace that is not there, or that is going."""

    def __init__(self, caches: Caches, registry: Registry) -> None:
        kind = registry.resource("", "v1", "namespaces")
        assert kind is not None
        self._kind, self._cache = kind, caches.add(kind)

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        if wanted.verb != "create" or not wanted.kind.namespaced or wanted.subresource:
            return
        row = self._cache.row(key_of(self._kind, "", wanted.namespace))
        if row is None:
            raise errors.not_found("namespaces", wanted.namespace)
        if "deletionTimestamp" in row.object()["metadata"]:
            name = obj["metadata"].get("name", "")
            raise errors.forbidden(
                wanted.kind.plural, name,
                f"unable to create new content in namespace {wanted.namespace} because it is "
                "being terminated", wanted.kind.group,
            )  # fmt: skip


class ProtectedNamespaces:
    """The system's own namespaces are not deleted."""

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        name = obj["metadata"].get("name", "")
        if wanted.verb == "delete" and wanted.kind.plural == "namespaces" and name in ALWAYS_THERE:
            raise errors.forbidden("namespaces", name, "this namespace may not be deleted")


class NamespaceLabel:
    """Every namespace carries its name as a label."""

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        if wanted.kind.plural == "namespaces" and wanted.verb in ("create", "update"):
            metadata = obj["metadata"]
            if name := metadata.get("name"):
                metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name


class ServiceAccountName:
    """A pod runs as its namespace's ``default`` account unless it says otherwise, and its images
    are pulled with that account's secrets unless it names its own."""

    def __init__(self, caches: Caches, registry: Registry) -> None:
        kind = registry.resource("", "v1", "serviceaccounts")
        assert kind is not None
        self._kind, self._cache = kind, caches.add(kind)

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        if wanted.verb != "create" or wanted.kind.kind != "Pod" or wanted.subresource:
            return
        spec = obj.setdefault("spec", {})
        if not spec.get("serviceAccountName"):
            spec["serviceAccountName"] = spec["serviceAccount"] = "default"
        key = key_of(self._kind, wanted.namespace, spec["serviceAccountName"])
        row = self._cache.row(key)
        if row is not None and not spec.get("imagePullSecrets"):
            secrets = row.object().get("imagePullSecrets")
            if secrets:
                spec["imagePullSecrets"] = [dict(each) for each in secrets]


class PodTolerations:
    """A pod stays five minutes on a node that is not ready, unless it says otherwise."""

    TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        if wanted.verb != "create" or wanted.kind.kind != "Pod" or wanted.subresource:
            return
        tolerations = obj.setdefault("spec", {}).setdefault("tolerations", [])
        for key in self.TAINTS:
            if not any(
                each.get("key") in (None, "", key) and each.get("effect") in (None, "", "NoExecute")
                for each in tolerations
            ):
                tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute",
                                    "tolerationSeconds": 300})  # fmt: skip


class DefaultStorageClass:
    """A claim without a class gets the default one."""

    def __init__(self, caches: Caches, registry: Registry) -> None:
        kind = registry.resource("storage.k8s.io", "v1", "storageclasses")
        assert kind is not None
        self._cache = caches.add(kind)

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        if wanted.verb != "create" or wanted.kind.kind != "PersistentVolumeClaim":
            return
        spec = obj.setdefault("spec", {})
        if spec.get("storageClassName") is not None:
            return
        for row in self._cache.range(self._cache.prefix):
            metadata = row.object()["metadata"]
            mark = (metadata.get("annotations") or {}).get(
                "storageclass.kubernetes.io/is-default-class"
            )
            if mark == "true":
                spec["storageClassName"] = metadata["name"]


def steps(caches: Caches, registry: Registry, service_ips: ServiceIps) -> tuple[Step, ...]:
    """Every step, in the order in which they run."""
    return (
        NamespaceLifecycle(caches, registry),
        ProtectedNamespaces(),
        NamespaceLabel(),
        ServiceAccountName(caches, registry),
        PodTolerations(),
        DefaultStorageClass(caches, registry),
        service_ips,
    )

"""Turns each namespace into one with a ``default`` ServiceAccount and the cluster's authority."""

from __future__ import annotations

from dockyard.cluster.client.client import key_of
from dockyard.cluster.client.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.meta.errors import AlreadyExists

ROOT_CA = "kube-root-ca.crt"


class Accounts:
    """The controller. ``authority`` is the PEM that clients in pods trust."""

    def __init__(self, context: Context, authority: str) -> None:
        self._context, self._authority = context, authority
        self._queue = WorkQueue(context.clock)
        self._namespaces = context.informers.of(NAMESPACES)
        self._accounts = context.informers.of(SERVICE_ACCOUNTS)
        self._namespaces.add_handler(
            lambda before, after: self._queue.add(key_of(after)) if after else None
        )
        self._bundles = context.informers.of(CONFIG_MAPS, fieldSelector=f"metadata.name={ROOT_CA}")
        self._accounts.add_handler(self._went)
        self._bundles.add_handler(self._went)
        self._bundles.add_handler(self._changed)

    def _went(self, before: Object | None, after: Object | None) -> None:
        if after is None and before is not None:
            self._queue.add(before["metadata"]["namespace"])

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if after is not None and after.get("data") != self._data:
            self._queue.add(after["metadata"]["namespace"])

    @property
    def _data(self) -> dict[str, str]:
        return {"ca.crt": self._authority}

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("serviceaccount", self._queue, self._sync, workers=1)

    async def _sync(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return
        account = {"metadata": {"name": "default", "namespace": name}}
        if self._accounts.get(f"{name}/default") is None:
            await self._make(SERVICE_ACCOUNTS, account)
        bundle = self._bundles.get(f"{name}/{ROOT_CA}")
        if bundle is None:
            metadata = {"name": ROOT_CA, "namespace": name}
            await self._make(CONFIG_MAPS, {"metadata": metadata, "data": self._data})
        elif bundle.get("data") != self._data:
            await self._context.client.update(CONFIG_MAPS, {**bundle, "data": self._data})

    async def _make(self, resource: Resource, obj: Object) -> None:
        try:
            await self._context.client.create(resource, obj)
        except AlreadyExists:
            return

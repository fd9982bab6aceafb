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
        self._accounts.add_handler(self._account_changed)

    def _account_changed(self, before: Object | None, after: Object | None) -> None:
        if after is None and before is not None:
            self._queue.add(before["metadata"]["namespace"])

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
        bundle = {
            "metadata": {"name": ROOT_CA, "namespace": name},
            "data": {"ca.crt": self._authority},
        }
        await self._make(CONFIG_MAPS, bundle)

    async def _make(self, resource: Resource, obj: Object) -> None:
        try:
            await self._context.client.create(resource, obj)
        except AlreadyExists:
            return

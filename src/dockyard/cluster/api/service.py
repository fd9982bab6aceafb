"""Turns a request and a user into an answer: authorization, then the operation that is meant.

Both ways in end here: HTTP (:mod:`front`) and in process (:mod:`local`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from dockyard.cluster.api import authz, reviews, subresources
from dockyard.cluster.api.authn import Authenticator
from dockyard.cluster.api.cache import Watcher
from dockyard.cluster.api.operations import Found, Operations
from dockyard.cluster.api.options import ListOptions
from dockyard.cluster.api.rows import Row
from dockyard.cluster.client.transport import Request, User
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors

Object = dict[str, Any]


class Service:
    """The API, whoever asks."""

    def __init__(self, operations: Operations, authenticator: Authenticator) -> None:
        self.operations, self.authenticator = operations, authenticator

    def kind(self, request: Request) -> Kind:
        """The kind that a request is about. Raises NotFound, MethodNotAllowed."""
        resource = request.resource
        kind = self.operations.registry.resource(*resource)
        if kind is None or (request.namespace and not kind.namespaced):
            raise errors.no_such_path()
        needs_namespace = request.name or request.verb == "create"
        if kind.namespaced and not request.namespace and needs_namespace:
            raise errors.no_such_path()
        if not request.subresource and request.verb not in kind.verbs:
            raise errors.method_not_allowed(kind.plural, request.verb, kind.group)
        return kind

    async def call(self, request: Request, user: User) -> Row | Found | Object:
        """Everything but a watch. Raises ApiError."""
        authz.authorize(request, user)
        kind = self.kind(request)
        if request.subresource:
            handler = subresources.find(kind, request)
            if handler is not None:
                return await handler(self.operations, kind, request, user)
        match request.verb:
            case "get":
                return self.operations.get(kind, request.namespace, request.name)
            case "list":
                return await self.operations.list(kind, request)
            case "create":
                if "get" not in kind.verbs:
                    body = request.body if isinstance(request.body, dict) else {}
                    return reviews.answer(kind, body, user, self.authenticator)
                return await self.operations.create(kind, request, user)
            case "update":
                return await self.operations.update(kind, request, user)
            case "patch":
                return await self.operations.patch(kind, request, user)
            case "delete":
                row, gone = await self.operations.delete(kind, request, user)
                return _deleted(kind, row) if gone else row
            case "deletecollection":
                return await self._delete_many(kind, request, user)
        raise errors.method_not_allowed(kind.plural, request.verb, kind.group)

    def watch(self, request: Request, user: User) -> tuple[Kind, Watcher, ListOptions]:
        """A watch that has begun; the caller ends it."""
        authz.authorize(request, user)
        if request.name:  # a watch of one object is a watch of its collection
            selector = f"metadata.name={request.name}"
            given = request.options.get("fieldSelector")
            options = {**request.options,
                       "fieldSelector": f"{given},{selector}" if given else selector}  # fmt: skip
            request = replace(request, name="", options=options)
        kind = self.kind(request)
        return (kind, *self.operations.watch(kind, request))

    async def _delete_many(self, kind: Kind, request: Request, user: User) -> Found:
        """What was there, as it was."""
        found = await self.operations.list(kind, request)
        for row in found.rows:
            metadata = row.peek()["metadata"]
            one = replace(request, verb="delete", name=metadata["name"],
                          namespace=metadata.get("namespace", ""))  # fmt: skip
            try:
                await self.operations.delete(kind, one, user)
            except errors.NotFound:
                continue
        return found

    def render(self, kind: Kind, row: Row) -> bytes:
        """An object in the version that was asked for."""
        if row.kind.api_version == kind.api_version:
            return row.encoded()
        obj = kind.from_hub(row.copy())
        return orjson.dumps(obj | {"kind": kind.kind, "apiVersion": kind.api_version})

    def render_list(self, kind: Kind, found: Found) -> Object:
        """A list as objects."""
        items = [orjson.loads(self.render(kind, row)) for row in found.rows]
        return {**self.list_head(kind, found), "items": items}

    def list_head(self, kind: Kind, found: Found) -> Object:
        """What a list is besides its items."""
        metadata: Object = {"resourceVersion": str(found.revision)}
        if found.token:
            metadata["continue"] = found.token
            if found.remaining is not None:
                metadata["remainingItemCount"] = found.remaining
        return {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": metadata}


def _deleted(kind: Kind, row: Row) -> Object:
    metadata = row.object()["metadata"]
    details = {"name": metadata["name"], "group": kind.group, "kind": kind.plural,
               "uid": metadata["uid"]}  # fmt: skip
    kept = {key: value for key, value in details.items() if value}
    return {**subresources.SUCCESS, "details": kept}

"""The seam to the API: a verb, a resource, an object and a user go in; an object comes out.

Two forms: over HTTP (:mod:`dockyard.cluster.client.http`) and in process, where the API itself
implements it with the same authorization, admission and validation. Objects are JSON-shaped dicts
that nobody changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Object = Mapping[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


class User(NamedTuple):
    """Who asks, as authentication found it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


class Resource(NamedTuple):
    """What is asked about: ``Resource("apps", "v1", "deployments")``."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Request:
    """One request, after authentication and before authorization."""

    verb: str
    """get, list, watch, create, update, patch, delete or deletecollection."""
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    body: Any = None
    """The object; of a patch, the patch; of a delete, DeleteOptions."""
    patch_type: str = ""
    """The media type of a patch."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Query parameters with their published names: labelSelector, limit, dryRun, ..."""
    faults: tuple[str, ...] = ()
    """What strict decoding found in the text of the body: keys that stand there twice."""


class WatchEvent(NamedTuple):
    """``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``, and the object."""

    type: str
    object: Object


class Transport(Protocol):
    """A way to the API. Refusals are :class:`dockyard.cluster.meta.errors.ApiError`."""

    async def call(self, request: Request) -> Object:
        """Everything but a watch."""

    def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        """Changes, until the server ends it. ``Expired``: list again."""

    async def close(self) -> None: ...

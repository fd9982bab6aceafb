"""Every path of the registry, in the order in which they are tried."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from dockyard.node.image.registry.server.call import Call
from dockyard.node.image.registry.server.routes import (
    base,
    blobs,
    catalog,
    manifests,
    metrics,
    referrers,
    tags,
    token,
    uploads,
)

Handler = Callable[[Call], Awaitable[None]]


class Route(NamedTuple):
    """A path. What it needs by method: ``pull``, ``push``, ``delete`` on the repository, ``list``
    for the catalog, ``in`` for being let in at all, empty for what its handler asks for."""

    kind: str
    path: re.Pattern[str]
    methods: Mapping[str, tuple[str, Handler]]


def _route(kind: str, path: str, **methods: tuple[str, Handler]) -> Route:
    if "GET" in methods and kind != "token":
        methods["HEAD"] = methods["GET"]
    return Route(kind, re.compile(path), methods)


ROUTES = (
    _route("manifest", r"/v2/(?P<name>.+)/manifests/(?P<argument>[^/]+)",
           GET=("pull", manifests.get), PUT=("push", manifests.put),
           DELETE=("delete", manifests.delete)),
    _route("upload", r"/v2/(?P<name>.+)/blobs/uploads/?", POST=("push", uploads.post)),
    _route("session", r"/v2/(?P<name>.+)/blobs/uploads/(?P<argument>[^/]+)",
           GET=("push", uploads.get), PATCH=("push", uploads.patch), PUT=("push", uploads.put),
           DELETE=("push", uploads.delete)),
    _route("blob", r"/v2/(?P<name>.+)/blobs/(?P<argument>[^/]+)",
           GET=("pull", blobs.get), DELETE=("delete", blobs.delete)),
    _route("tags", r"/v2/(?P<name>.+)/tags/list", GET=("pull", tags.get)),
    _route("referrers", r"/v2/(?P<name>.+)/referrers/(?P<argument>[^/]+)",
           GET=("pull", referrers.get)),
    _route("catalog", r"/v2/_catalog", GET=("list", catalog.get)),
    _route("base", r"/v2/?", GET=("in", base.get)),
    _route("token", r"/token", GET=("", token.get), POST=("", token.post)),
    _route("metrics", r"/metrics", GET=("", metrics.get)),
    _route("alive", r"/", GET=("", base.alive)),
)  # fmt: skip


def find(path: str) -> tuple[Route, str, str] | None:
    """The route of a path, and the name and the argument in it."""
    for route in ROUTES:
        match = route.path.fullmatch(path)
        if match is not None:
            words = match.groupdict()
            return route, words.get("name", ""), words.get("argument", "")
    return None

"""Turns a path of the API into a resource, or into the refusal it earns. Pure.

A path is split once, before it is decoded; routing and authorization see the same parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from dockyard.cluster.client.transport import Resource
from dockyard.cluster.meta import errors

LONGEST_REMEMBERED = 1024
"""Bytes of a target that is remembered: anybody may ask for anything."""
VERBS = {
    ("GET", True): "get", ("GET", False): "list", ("HEAD", True): "get", ("HEAD", False): "list",
    ("POST", False): "create", ("PUT", True): "update",
    ("PATCH", True): "patch", ("DELETE", True): "delete", ("DELETE", False): "deletecollection",
}  # fmt: skip


class Route(NamedTuple):
    """Which resource a path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str
    rest: str
    """What comes behind a subresource: only ``proxy`` has any."""


class Target(NamedTuple):
    """A request target, taken apart."""

    path: str
    route: Route | None
    """None for a path that is no resource's."""
    options: Mapping[str, str]
    """The query; of a parameter that stands there twice, the last value."""
    pairs: tuple[tuple[str, str], ...]
    """The query as it is: ``command`` stands there once a word."""


def parse(target: bytes) -> Target:
    """The parts of a target; clients ask for the same ones again and again. Raises BadRequest."""
    return _remembered(target) if len(target) <= LONGEST_REMEMBERED else _parsed(target)


def _parsed(target: bytes) -> Target:
    try:
        text = target.decode("ascii")
    except UnicodeDecodeError:
        raise errors.BadRequest("the path of the request is not ASCII") from None
    path, _, query = text.partition("?")
    if not path.startswith("/"):
        raise errors.BadRequest("the path of the request does not begin with /")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query),
                          max_num_fields=100)  # fmt: skip
    except ValueError as error:
        raise errors.BadRequest(f"the query of the request: {error}") from None
    return Target(path, route(path), dict(pairs), tuple(pairs))


_remembered = lru_cache(maxsize=4096)(_parsed)


def route(path: str) -> Route | None:
    """The resource of ``/api/v1/...`` or ``/apis/GROUP/VERSION/...``; None for other paths."""
    parts = path.split("/")[1:]
    if len(parts) > 1 and parts[-1] == "":
        parts.pop()
    if parts != [""]:
        parts = [_segment(part) for part in parts]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    if len(parts) > 3 and subresource != "proxy":
        raise errors.no_such_path()
    return Route(Resource(group, version, parts[0]), namespace, name, subresource,
                 "/".join(parts[3:]))  # fmt: skip


def _segment(part: str) -> str:
    """One decoded part of a path: no separator, no climbing, no control character."""
    try:
        text = unquote(part, errors="strict") if "%" in part else part
    except UnicodeDecodeError:
        text = ""
    if not text or text in (".", "..") or not text.isprintable() or "/" in text or "%" in text:
        raise errors.BadRequest(f"the path of the request has an invalid part: {part[:80]!r}")
    return text


def verb_of(method: str, found: Route, query: Mapping[str, str]) -> str:
    """The API's verb for an HTTP method."""
    if method == "POST" and found.subresource:
        return "create"
    if method in ("GET", "HEAD") and query.get("watch", "") in ("true", "1"):
        return "watch"
    verb = VERBS.get((method, bool(found.name)))
    if verb is None:
        raise errors.method_not_allowed(found.resource.plural, method, found.resource.group)
    return verb

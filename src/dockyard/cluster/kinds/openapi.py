"""Turns the kinds of a group and version into its OpenAPI v3 document.

Schemas are the published definitions; ``paths`` are generated, with what kubectl reads there: the
action and kind of an operation, and the parameters ``dryRun`` and ``fieldValidation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dockyard.cluster.kinds.kind import Kind, Subresource
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta.schema import REF

SCHEMAS = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_JSON = "application/json"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_COMMON = ("DeleteOptions", "Status", "Patch", "APIResourceList", "WatchEvent")


def index(registry: Registry, hashes: Mapping[str, str]) -> dict[str, Any]:
    """``/openapi/v3``: where each document is; ``hashes`` by path (``apis/apps/v1``)."""
    found = {}
    for group, versions in registry.versions().items():
        for version in versions:
            path = path_of(group, version)
            found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={hashes.get(path, '')}"}
    return {"paths": found}


def path_of(group: str, version: str) -> str:
    """``api/v1``, ``apis/apps/v1``."""
    return f"apis/{group}/{version}" if group else f"api/{version}"


def document(registry: Registry, group: str, version: str) -> dict[str, Any]:
    """The OpenAPI document of one group and version."""
    kinds = registry.of(group, version)
    definitions = registry.schemas.definitions
    wanted = [name for kind in kinds for name in (kind.definition, f"{kind.definition}List")]
    wanted += [_META + name for name in _COMMON]
    wanted += [name for kind in kinds for each in kind.subresources for name in _bodies(kind, each)]
    paths: dict[str, Any] = {}
    for kind in kinds:
        paths.update(_paths(kind))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{registry.release}.0"},
        "paths": paths,
        "components": {"schemas": _closure(definitions, wanted)},
    }


def _bodies(kind: Kind, each: Subresource) -> list[str]:
    return [_definition(kind, each)] if each.kind else []


def _definition(kind: Kind, each: Subresource | None) -> str:
    if each is None or not each.kind:
        return kind.definition
    if not each.version:
        return f"{kind.definition.rpartition('.')[0]}.{each.kind}"
    return f"io.k8s.api.{each.group.partition('.')[0]}.{each.version}.{each.kind}"


def _closure(definitions: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The definitions named, and all that they refer to."""
    found: dict[str, Any] = {}
    waiting = [name for name in names if name in definitions]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _rewritten(definitions[name], waiting)
    return dict(sorted(found.items()))


def _rewritten(node: Any, seen: list[str]) -> Any:
    """A schema with its references as version 3 writes them; ``seen`` collects their names."""
    if type(node) is list:
        return [_rewritten(each, seen) for each in node]
    if type(node) is not dict:
        return node
    reference = node.get("$ref")
    if type(reference) is str:
        name = reference.removeprefix(REF)
        seen.append(name)
        rest = {key: value for key, value in node.items() if key != "$ref"}
        # Beside a reference version 3.0 ignores everything: so it goes into an allOf.
        return {**rest, "default": {}, "allOf": [{"$ref": SCHEMAS + name}]}
    return {key: _rewritten(value, seen) for key, value in node.items()}


def _parameter(name: str, kind: str = "string", place: str = "query") -> dict[str, Any]:
    found = {"name": name, "in": place, "schema": {"type": kind, "uniqueItems": True}}
    return found | {"required": True} if place == "path" else found


_DRY_RUN = _parameter("dryRun")
_WRITE = (_DRY_RUN, _parameter("fieldManager"), _parameter("fieldValidation"))
_DELETE = (
    _DRY_RUN,
    _parameter("gracePeriodSeconds", "integer"),
    _parameter("orphanDependents", "boolean"),
    _parameter("propagationPolicy"),
)
_LIST = (
    _parameter("allowWatchBookmarks", "boolean"),
    _parameter("continue"),
    _parameter("fieldSelector"),
    _parameter("labelSelector"),
    _parameter("limit", "integer"),
    _parameter("resourceVersion"),
    _parameter("resourceVersionMatch"),
    _parameter("sendInitialEvents", "boolean"),
    _parameter("timeoutSeconds", "integer"),
    _parameter("watch", "boolean"),
)
_PRETTY = _parameter("pretty")

# Verb of the API, HTTP method, action, parameters.
_COLLECTION = (
    ("list", "get", "list", _LIST),
    ("create", "post", "post", _WRITE),
    ("deletecollection", "delete", "deletecollection", _LIST + _DELETE),
)
_OBJECT = (
    ("get", "get", "get", ()),
    ("update", "put", "put", _WRITE),
    ("patch", "patch", "patch", (*_WRITE, _parameter("force", "boolean"))),
    ("delete", "delete", "delete", _DELETE),
)
_CONNECTED = frozenset({"attach", "exec", "portforward", "proxy"})


def _paths(kind: Kind) -> dict[str, Any]:
    root = f"/{path_of(kind.group, kind.version)}"
    scope = f"{root}/namespaces/{{namespace}}" if kind.namespaced else root
    collection = f"{scope}/{kind.plural}"
    found: dict[str, Any] = {}
    if kind.namespaced and "list" in kind.verbs:
        found[f"{root}/{kind.plural}"] = _path(kind, None, _COLLECTION[:1], ())
    names = (_parameter("namespace", place="path"),) if kind.namespaced else ()
    found[collection] = _path(kind, None, _COLLECTION, names)
    named = (_parameter("name", place="path"), *names)
    one = _path(kind, None, _OBJECT, named)
    if len(one) > 1:
        found[f"{collection}/{{name}}"] = one
    for each in kind.subresources:
        operations: tuple[Any, ...] = (*_OBJECT, _COLLECTION[1])
        found[f"{collection}/{{name}}/{each.name}"] = _path(kind, each, operations, named)
    return found


def _path(
    kind: Kind, sub: Subresource | None, operations: Iterable[Any], parameters: tuple[Any, ...]
) -> dict[str, Any]:
    verbs = sub.verbs if sub else kind.verbs
    found: dict[str, Any] = {
        method: _operation(kind, sub, verb, action, query)
        for verb, method, action, query in operations
        if verb in verbs
    }
    found["parameters"] = [*parameters, _PRETTY]
    return found


def _operation(
    kind: Kind, sub: Subresource | None, verb: str, action: str, query: tuple[Any, ...]
) -> dict[str, Any]:
    body = _definition(kind, sub)
    connect = sub is not None and sub.name in _CONNECTED
    answer = f"{body}List" if verb == "list" else body
    if verb in {"delete", "deletecollection"}:
        answer = _META + "Status"
    found: dict[str, Any] = {
        "operationId": _operation_id(kind, sub, verb),
        "tags": [f"{(kind.group or 'core').partition('.')[0]}_{kind.version}"],
        "responses": {
            "200": {"description": "OK", "content": _STREAM if connect else _json(answer)},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": "connect" if connect else action,
        "x-kubernetes-group-version-kind": {
            "group": sub.group if sub and sub.version else kind.group,
            "version": sub.version if sub and sub.version else kind.version,
            "kind": sub.kind if sub and sub.kind else kind.kind,
        },
    }
    if query:
        found["parameters"] = list(query)
    if connect:
        return found
    if verb in {"create", "update"}:
        found["requestBody"] = {"content": {"*/*": {"schema": _reference(body)}}, "required": True}
    elif verb == "patch":
        schema = {"schema": _reference(_META + "Patch")}
        found["requestBody"] = {"content": dict.fromkeys(_PATCHES, schema), "required": True}
    elif verb in {"delete", "deletecollection"}:
        options = _reference(_META + "DeleteOptions")
        found["requestBody"] = {"content": {"*/*": {"schema": options}}}
    return found


_STREAM = {"*/*": {"schema": {"type": "string"}}}


def _json(name: str) -> dict[str, Any]:
    return {_JSON: {"schema": _reference(name)}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": SCHEMAS + name}


_VERBS = {
    "list": "list",
    "create": "create",
    "deletecollection": "deleteCollection",
    "get": "read",
    "update": "replace",
    "patch": "patch",
    "delete": "delete",
}


def _operation_id(kind: Kind, sub: Subresource | None, verb: str) -> str:
    group = "".join(part.capitalize() for part in (kind.group or "core").split(".")[:1])
    scope = "Namespaced" if kind.namespaced else ""
    tail = sub.name.capitalize() if sub else ""
    return f"{_VERBS[verb]}{group}{kind.version.capitalize()}{scope}{kind.kind}{tail}"

"""Turns the kinds that are served into the documents by which clients find them.

The older form is one document for ``/api``, ``/apis`` and each group and version; the newer one
(``apidiscovery.k8s.io/v2``) is all of them at once. Kinds of one group and version are in the
order of their resources' names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dockyard.cluster.kinds.kind import Kind, Subresource

AGGREGATED = "apidiscovery.k8s.io/v2"


def _groups(kinds: Iterable[Kind]) -> dict[str, dict[str, list[Kind]]]:
    """Groups, their versions and their kinds, each in the order of the list."""
    found: dict[str, dict[str, list[Kind]]] = {}
    for each in kinds:
        found.setdefault(each.group, {}).setdefault(each.version, []).append(each)
    return found


def api_versions(server_address: str) -> dict[str, Any]:
    """``/api``: the versions of the core group."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    }


def group_list(kinds: Iterable[Kind]) -> dict[str, Any]:
    """``/apis``: every group but core."""
    found = [_group(name, list(versions)) for name, versions in _groups(kinds).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(kinds: Iterable[Kind], name: str) -> dict[str, Any] | None:
    """``/apis/apps``: one group, None if there is none."""
    versions = _groups(kinds).get(name)
    if not name or versions is None:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    found = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def resource_list(kinds: Iterable[Kind], name: str, version: str) -> dict[str, Any] | None:
    """``/api/v1``, ``/apis/apps/v1``: the resources of one group and version."""
    found = _groups(kinds).get(name, {}).get(version)
    if found is None:
        return None
    resources: list[dict[str, Any]] = []
    for kind in sorted(found, key=lambda each: each.plural):
        resources.append(_resource(kind))
        resources += [_subresource(kind, each) for each in kind.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{name}/{version}" if name else version,
        "resources": resources,
    }


def _resource(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular_name,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    return found


def _subresource(kind: Kind, each: Subresource) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{kind.plural}/{each.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": each.kind or kind.kind,
        "verbs": list(each.verbs),
    }
    if each.version:
        found["group"], found["version"] = each.group, each.version
    return found


def aggregated(kinds: Iterable[Kind], *, core: bool) -> dict[str, Any]:
    """``/api`` (``core``) or ``/apis`` in the newer form."""
    found = [
        {
            "metadata": {"name": name, "creationTimestamp": None}
            if name
            else {"creationTimestamp": None},
            "versions": [_version(version, of) for version, of in versions.items()],
        }
        for name, versions in _groups(kinds).items()
        if (name == "") is core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": AGGREGATED,
        "metadata": {},
        "items": found,
    }


def _version(version: str, kinds: list[Kind]) -> dict[str, Any]:
    return {
        "version": version,
        "resources": [_aggregated(each) for each in sorted(kinds, key=lambda each: each.plural)],
        "freshness": "Current",
    }


def _aggregated(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular_name,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    if kind.subresources:
        found["subresources"] = [
            {
                "subresource": each.name,
                "responseKind": {
                    "group": each.group,
                    "version": each.version,
                    "kind": each.kind or kind.kind,
                },
                "verbs": list(each.verbs),
            }
            for each in kind.subresources
        ]
    return found

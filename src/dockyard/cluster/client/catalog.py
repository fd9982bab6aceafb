"""Turns discovery documents into what a user's word (``deploy``, ``pods.v1.``) means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dockyard.base.errors import NotFound
from dockyard.cluster.client.transport import Resource

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class Entry(NamedTuple):
    """One resource that a server has."""

    resource: Resource
    kind: str
    namespaced: bool
    names: frozenset[str]
    """Plural, singular, short names and the kind, in lower case."""
    categories: frozenset[str]
    verbs: frozenset[str]

    @property
    def qualified(self) -> str:
        """``deployment.apps``, ``pod``: how kubectl names one object of it."""
        kind, group = self.kind.lower(), self.resource.group
        return f"{kind}.{group}" if group else kind


class Catalog:
    """What a server has, in its order: the core group first, preferred versions first."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        self.entries = [entry for document in documents for entry in _entries(document)]
        self._by_kind = {(e.resource.api_version, e.kind): e for e in reversed(self.entries)}

    def find(self, word: str) -> Entry:
        """``RESOURCE``, ``RESOURCE.GROUP`` or ``RESOURCE.VERSION.GROUP``. Raises NotFound."""
        name, _, rest = word.lower().partition(".")
        version, _, group = rest.partition(".")
        for entry in self.entries:
            if name not in entry.names:
                continue
            there = entry.resource
            if not rest or there.group == rest or (there.version, there.group) == (version, group):
                return entry
        raise NotFound(f'the server doesn\'t have a resource type "{word}"')

    def category(self, word: str) -> list[Entry]:
        """``all``: each resource once, in its preferred version."""
        found: dict[tuple[str, str], Entry] = {}
        for entry in self.entries:
            if word.lower() in entry.categories:
                found.setdefault((entry.resource.group, entry.resource.plural), entry)
        return list(found.values())

    def of_kind(self, api_version: str, kind: str) -> Entry:
        """What an object says that it is. Raises NotFound."""
        entry = self._by_kind.get((api_version, kind))
        if entry is None:
            raise NotFound(f'no matches for kind "{kind}" in version "{api_version}"')
        return entry


def _entries(document: Mapping[str, Any]) -> Iterable[Entry]:
    """Those of one ``APIGroupDiscoveryList``."""
    for group in document.get("items", ()):
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            for each in version.get("resources", ()):
                kind = each["responseKind"]["kind"]
                words = {each["resource"], each.get("singularResource") or kind, kind}
                yield Entry(
                    Resource(name, version["version"], each["resource"]),
                    kind,
                    each["scope"] == "Namespaced",
                    frozenset(word.lower() for word in (*words, *each.get("shortNames", ()))),
                    frozenset(each.get("categories", ())),
                    frozenset(each["verbs"]),
                )

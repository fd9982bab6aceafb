"""Turns a group, version and resource (or kind) into what the API serves under it.

kinds = registry()                          # of the default release
pods = kinds.resource("", "v1", "pods")     # Kind or None
kinds.conform(pods, obj)                    # the schema: BadRequest, or the unknown fields
pods.default(obj); pods.require_valid(obj)  # what the schema can't say
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from dockyard.cluster.kinds.builtin import KINDS
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.schemas import DEFAULT_RELEASE, load_definitions
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.schema import Schemas


class Registry:
    """The kinds that a cluster serves, with the schemas of one release."""

    def __init__(self, kinds: Iterable[Kind] = KINDS, release: str = DEFAULT_RELEASE):
        self.release = release
        self.schemas = Schemas(lambda: load_definitions(release))
        self.kinds: tuple[Kind, ...] = tuple(kinds)
        self._by_resource = {(each.group, each.version, each.plural): each for each in self.kinds}
        self._by_kind = {(each.group, each.version, each.kind): each for each in self.kinds}

    def resource(self, group: str, version: str, plural: str) -> Kind | None:
        """``("apps", "v1", "deployments")`` is Deployment."""
        return self._by_resource.get((group, version, plural))

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """``("apps/v1", "Deployment")``, as an object says of itself."""
        group, _, version = api_version.rpartition("/")
        return self._by_kind.get((group, version, kind))

    def versions(self) -> dict[str, list[str]]:
        """Every group with its versions, the preferred one first, in the order of the list."""
        found: dict[str, list[str]] = {}
        for each in self.kinds:
            versions = found.setdefault(each.group, [])
            if each.version not in versions:
                versions.append(each.version)
        return found

    def of(self, group: str, version: str) -> list[Kind]:
        """The kinds of one group and version, by resource name."""
        found = [each for each in self.kinds if (each.group, each.version) == (group, version)]
        return sorted(found, key=lambda each: each.plural)

    def schema(self, kind: Kind) -> Mapping[str, Any]:
        """The OpenAPI definition of a kind; ``$ref`` names another of ``schemas``."""
        return self.schemas.definition(kind.definition)

    def conform(self, kind: Kind, obj: Any) -> list[str]:
        """Hold an object against its schema: the faults of strict decoding, in words.

        Unknown fields are dropped from ``obj`` (as a server's decoder does) and named in the
        answer: ``unknown field "spec.foo"``. Raises :class:`errors.BadRequest` for a value of a
        wrong type.
        """
        return self.schemas.conform(kind.definition, obj, kind.kind, kind.version)

    @staticmethod
    def strict_error(kind: Kind, faults: list[str]) -> errors.BadRequest:
        """What ``fieldValidation=Strict`` answers for the faults of :meth:`conform`."""
        return errors.BadRequest(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
            f"strict decoding error: {', '.join(faults)}"
        )


@lru_cache(maxsize=16)
def registry(release: str = DEFAULT_RELEASE) -> Registry:
    """The built-in kinds of a release; made once."""
    return Registry(KINDS, release)

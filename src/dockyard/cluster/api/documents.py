"""Turns the registry into what clients read first: discovery, OpenAPI, version, health."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from dockyard.cluster.kinds import discovery, openapi, openapiv2
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta import errors

HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
SWAGGER = "/openapi/v2"
AGGREGATED = "g=apidiscovery.k8s.io"
AGGREGATED_TYPE = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Documents:
    """Answers for paths that are no resources. What costs time is made once."""

    def __init__(self, registry: Registry, address: str, version: str) -> None:
        self._registry, self._address = registry, address
        self._cache: dict[tuple[str, bool], bytes] = {}
        self._version = version

    def get(self, path: str, accept: str) -> tuple[bytes, bytes]:
        """Media type and body. Raises NotFound."""
        if path in HEALTH:
            return b"text/plain; charset=utf-8", b"ok"
        path = path.rstrip("/") or "/"
        if path == SWAGGER and any(each in accept for each in openapiv2.ASKED):
            return openapiv2.PROTOBUF, self._protobuf()
        aggregated = AGGREGATED in accept and path in ("/api", "/apis")
        key = (path, aggregated)
        if key not in self._cache:
            found = self._aggregated(path) if aggregated else self._find(path)
            if found is None:
                raise errors.no_such_path()
            self._cache[key] = orjson.dumps(found)
        return (AGGREGATED_TYPE if aggregated else b"application/json"), self._cache[key]

    def takes_long(self, path: str) -> bool:
        """Whether what stands there has to be made first, in longer than a loop may stand still."""
        return path == SWAGGER and (path, True) not in self._cache

    def _protobuf(self) -> bytes:
        key = (SWAGGER, True)
        if key not in self._cache:
            self._cache[key] = openapiv2.encoded(self._registry)
        return self._cache[key]

    def _aggregated(self, path: str) -> dict[str, Any]:
        return discovery.aggregated(self._registry.kinds, core=path == "/api")

    def _find(self, path: str) -> dict[str, Any] | None:
        kinds, parts = self._registry.kinds, path.strip("/").split("/")
        match parts:
            case [""]:
                return {"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2",
                                  "/openapi/v3", "/readyz", "/version"]}  # fmt: skip
            case ["version"]:
                return self._version_info()
            case ["api"]:
                return discovery.api_versions(self._address)
            case ["apis"]:
                return discovery.group_list(kinds)
            case ["api", version]:
                return discovery.resource_list(kinds, "", version)
            case ["apis", group]:
                return discovery.group(kinds, group)
            case ["apis", group, version]:
                return discovery.resource_list(kinds, group, version)
            case ["openapi", "v2"]:
                return openapiv2.document(self._registry)
            case ["openapi", "v3"]:
                return openapi.index(self._registry, self._hashes())
            case ["openapi", "v3", "api", version]:
                return self._openapi("", version)
            case ["openapi", "v3", "apis", group, version]:
                return self._openapi(group, version)
        return None

    def _openapi(self, group: str, version: str) -> dict[str, Any] | None:
        if not self._registry.of(group, version):
            return None
        return openapi.document(self._registry, group, version)

    def _hashes(self) -> dict[str, str]:
        """The documents change with the release only."""
        seed = f"{self._registry.release} {self._version}"
        return {
            path: hashlib.sha256(f"{seed} {path}".encode()).hexdigest()[:32].upper()
            for group, versions in self._registry.versions().items()
            for path in (openapi.path_of(group, version) for version in versions)
        }

    def _version_info(self) -> dict[str, Any]:
        major, _, minor = self._registry.release.partition(".")
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{self._registry.release}.0+dockyard-{self._version}",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }

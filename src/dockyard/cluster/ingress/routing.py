"""Turns Ingresses into the answer to: which Service for this host and path? Pure.

Host and path are data here, never a pattern or a configuration text (F21). Of two rules for one
host and path the older Ingress has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dockyard.cluster.client.transport import Object

CONTROLLER = "dockyard.io/ingress"
"""What an IngressClass of ours names as its controller."""
EXACT, PREFIX = 0, 1


class Backend(NamedTuple):
    """A Service's port: by number or by name."""

    namespace: str
    service: str
    port: int | str


class Rule(NamedTuple):
    """One path of one host. In their order: exact ones, then the longest, then the oldest."""

    kind: int
    shorter: int
    number: int
    path: str
    backend: Backend

    def matches(self, path: str) -> bool:
        """Whether the path is this one, or for a prefix one below it (``/a`` is not ``/ab``)."""
        if self.kind == EXACT:
            return path == self.path
        prefix = self.path.rstrip("/")
        return not prefix or path == prefix or path.startswith(prefix + "/")


class Table:
    """All rules, by host."""

    def __init__(self, ingresses: Iterable[Object]) -> None:
        self._hosts: dict[str, list[Rule]] = {}
        self._default: Backend | None = None
        self._count = 0
        for ingress in sorted(ingresses, key=_age):
            self._add(ingress)
        for rules in self._hosts.values():
            rules.sort(key=lambda rule: rule[:3])

    def _add(self, ingress: Object) -> None:
        namespace, spec = ingress["metadata"]["namespace"], ingress.get("spec") or {}
        if self._default is None and spec.get("defaultBackend"):
            self._default = _backend(namespace, spec["defaultBackend"])
        for rule in spec.get("rules") or ():
            rules = self._hosts.setdefault((rule.get("host") or "").lower(), [])
            for each in (rule.get("http") or {}).get("paths") or ():
                backend = _backend(namespace, each["backend"])
                if backend is not None:
                    path = each.get("path") or "/"
                    kind = EXACT if each.get("pathType") == "Exact" else PREFIX
                    self._count += 1
                    rules.append(Rule(kind, -len(path), self._count, path, backend))

    def find(self, host: str, path: str) -> Backend | None:
        """The Service for a request; the exact host, then its wildcard, then rules without one."""
        name = _without_port(host.lower())
        for candidate in (name, "*." + name.partition(".")[2], ""):
            for rule in self._hosts.get(candidate, ()):
                if rule.matches(path):
                    return rule.backend
        return self._default


def is_ours(ingress: Object, controllers: dict[str, str]) -> bool:
    """Whether an Ingress is for us: not if its class is of another controller.

    ``controllers``: of each IngressClass. A class that does not exist is nobody else's.
    """
    annotations = ingress["metadata"].get("annotations") or {}
    spec = ingress.get("spec") or {}
    name = spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or ""
    return controllers.get(name, CONTROLLER) == CONTROLLER


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).rstrip(".")


def _age(ingress: Object) -> tuple[str, str, str]:
    metadata = ingress["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["namespace"], metadata["name"]


def _backend(namespace: str, backend: Object) -> Backend | None:
    service = backend.get("service")
    if not service:
        return None
    port = service.get("port") or {}
    return Backend(namespace, service["name"], port.get("number") or port.get("name") or 0)

"""Turns a Service's port into the places that serve it now: address and port of each pod."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import ENDPOINT_SLICES, SERVICES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.ingress.pool import Pool
from dockyard.cluster.ingress.routing import Backend

SERVICE = "service"


class Place(NamedTuple):
    """Where one endpoint listens."""

    address: str
    port: int


class Endpoints:
    """The endpoints of every backend, each request beginning with the next one."""

    def __init__(self, informers: Informers, pool: Pool) -> None:
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._slices.add_index(SERVICE, _service_of)
        self._pool = pool
        self._known: dict[Backend, tuple[Place, ...]] = {}
        self._turns: dict[Backend, int] = {}
        self._services.add_handler(self._forget)
        self._slices.add_handler(self._on_slice)

    def of(self, backend: Backend) -> tuple[Place, ...]:
        """All that serve a backend, the one whose turn it is first."""
        places = self._all(backend)
        if len(places) < 2:
            return places
        turn = self._turns.get(backend, 0) % len(places)
        self._turns[backend] = turn + 1
        return places[turn:] + places[:turn]

    def has(self, backend: Backend, place: Place) -> bool:
        """Whether a place still serves a backend."""
        return place in self._all(backend)

    def _all(self, backend: Backend) -> tuple[Place, ...]:
        places = self._known.get(backend)
        if places is None:
            places = self._known[backend] = self._find(backend)
        return places

    def _find(self, backend: Backend) -> tuple[Place, ...]:
        key = f"{backend.namespace}/{backend.service}"
        service = self._services.get(key)
        if service is None:
            return ()
        for port in service["spec"].get("ports") or ():
            if backend.port in (port["port"], port.get("name")):
                return serving(self._slices.by(SERVICE, key), port.get("name", ""))
        return ()

    def _on_slice(self, before: Object | None, after: Object | None) -> None:
        self._forget(before, after)
        for address in ready_addresses(before) - ready_addresses(after):
            self._pool.drop(address)

    def _forget(self, *objects: Object | None) -> None:
        """What is known of the Services concerned is found anew at the next request."""
        keys = {key for each in objects if each is not None for key in _keys(each)}
        for backend in list(self._known):
            if f"{backend.namespace}/{backend.service}" in keys:
                del self._known[backend]
                self._turns.pop(backend, None)


def serving(slices: Iterable[Object], name: str) -> tuple[Place, ...]:
    """Ready endpoints of a port; where there is none, those that end but still serve."""
    ready: set[Place] = set()
    ending: set[Place] = set()
    for each in slices:
        numbers = [
            int(port["port"])
            for port in each.get("ports") or ()
            if port.get("name", "") == name
            and port.get("protocol", "TCP") == "TCP"
            and port.get("port")
        ]
        for endpoint in each.get("endpoints") or ():
            places = {Place(address, n) for address in endpoint["addresses"] for n in numbers}
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready", True):
                ready |= places
            elif conditions.get("serving") and conditions.get("terminating"):
                ending |= places
    return tuple(sorted(ready or ending))


def ready_addresses(each: Object | None) -> set[str]:
    """The addresses of a slice's ready endpoints."""
    return {
        address
        for endpoint in (each or {}).get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"]
    }


def _service_of(each: Object) -> list[str]:
    metadata = each["metadata"]
    name = (metadata.get("labels") or {}).get("kubernetes.io/service-name")
    return [f"{metadata['namespace']}/{name}"] if name else []


def _keys(each: Object) -> list[str]:
    metadata = each["metadata"]
    return [*_service_of(each), f"{metadata['namespace']}/{metadata['name']}"]

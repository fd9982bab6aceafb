"""Turns a name of the cluster's domain into addresses. Pure.

``<service>.<namespace>.svc.<domain>``; of a headless Service its endpoints, and each by
``<hostname>.<service>...``: the specification of DNS-based service discovery, version 1.1.0.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dockyard.cluster.client.transport import Object


class Objects(NamedTuple):
    """Where the names come from; Services and their slices by ``namespace/service``."""

    service: Callable[[str], Object | None]
    slices: Callable[[str], Iterable[Object]]
    has_namespace: Callable[[str], bool]


class Answer(NamedTuple):
    """What a name means. ``exists`` false is NXDOMAIN; no address of that family is NODATA."""

    exists: bool
    addresses: tuple[str, ...] = ()
    alias: str = ""

    def of_version(self, version: int) -> tuple[str, ...]:
        """The addresses of one IP version."""
        return tuple(a for a in self.addresses if ipaddress.ip_address(a).version == version)


NOTHING = Answer(exists=False)
EMPTY = Answer(exists=True)
"""A name that has no records, or only names below it (RFC 8020)."""


def is_below(name: str, domain: str) -> bool:
    """Whether a name is the domain or one in it."""
    return name == domain or name.endswith(f".{domain}")


def lookup(name: str, domain: str, objects: Objects) -> Answer:
    """What a name below ``domain`` means; both in lower case, without the last dot."""
    labels = name.removesuffix(domain).rstrip(".").split(".")
    if labels in ([""], ["svc"]):
        return EMPTY
    if labels[-1] != "svc":
        return NOTHING
    if len(labels) == 2:
        return EMPTY if objects.has_namespace(labels[0]) else NOTHING
    key = f"{labels[-2]}/{labels[-3]}"
    service = objects.service(key)
    if service is None or len(labels) > 4:
        return NOTHING
    spec, hostname = service["spec"], labels[0] if len(labels) == 4 else ""
    if spec.get("type") == "ExternalName":
        return NOTHING if hostname else Answer(exists=True, alias=_plain(spec["externalName"]))
    if spec.get("clusterIP") == "None":
        addresses = _endpoints(objects.slices(key), spec, hostname)
        return Answer(exists=bool(addresses or not hostname), addresses=addresses)
    if hostname:
        return NOTHING
    addresses = tuple(spec.get("clusterIPs") or [spec.get("clusterIP")])
    return Answer(exists=True, addresses=tuple(filter(None, addresses)))


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _endpoints(slices: Iterable[Object], spec: Object, hostname: str) -> tuple[str, ...]:
    """Addresses that are ready; of those with a hostname, or with an address that spells one."""
    found: list[str] = []
    for each in slices:
        if each.get("addressType") == "FQDN":
            continue
        for endpoint in each.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready", True)
            if not ready and not spec.get("publishNotReadyAddresses"):
                continue
            own = endpoint.get("hostname", "")
            found += [
                address
                for address in endpoint["addresses"]
                if not hostname or hostname == (own or address.replace(".", "-").replace(":", "-"))
            ]
    return tuple(dict.fromkeys(found))

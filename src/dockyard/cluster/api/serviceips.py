"""Turns a Service into one with a cluster IP of its own, from the cluster's block."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from dockyard.cluster.api.cache import Caches
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.meta import errors
from dockyard.cluster.meta import fielderrors as field

if TYPE_CHECKING:
    from dockyard.cluster.api.admission import Attributes

FIRST_FREE = 16
"""The lower part of the block is for addresses that somebody asks for, as kubeadm's DNS."""


class ServiceIps:
    """Admits Services. What is taken is what the stored Services say, and what is under way."""

    def __init__(self, caches: Caches, registry: Registry, block: str) -> None:
        kind = registry.resource("", "v1", "services")
        assert kind is not None
        self._cache = caches.add(kind)
        self._block = ipaddress.ip_network(block)
        self._next = FIRST_FREE
        self._promised: dict[str, str] = {}

    def admit(self, wanted: Attributes, obj: dict[str, Any]) -> None:
        if wanted.kind.kind != "Service" or wanted.subresource:
            return
        if wanted.verb == "create":
            self._create(obj)
        elif wanted.verb == "update" and wanted.old is not None:
            old = wanted.old["spec"]
            spec = obj["spec"]
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if not spec.get(name) and name in old:
                    spec[name] = old[name]

    def _create(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        kind, given = spec.get("type", "ClusterIP"), spec.get("clusterIP", "")
        if kind in ("NodePort", "LoadBalancer"):
            raise errors.forbidden(
                "services", obj["metadata"].get("name", ""), f"type {kind} is not implemented"
            )
        if kind == "ExternalName":
            return
        if given != "None":
            taken = self._taken()
            given = self._check(obj, given, taken) if given else self._choose(taken)
            self._promised[given] = obj["metadata"].get("name", "")
        spec["clusterIP"], spec["clusterIPs"] = given, [given]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")

    def _taken(self) -> set[str]:
        stored = {
            str(row.object().get("spec", {}).get("clusterIP", ""))
            for row in self._cache.range(self._cache.prefix)
        }
        if len(self._promised) > 256:  # those that came to nothing must not fill the block
            self._promised = {ip: n for ip, n in self._promised.items() if ip not in stored}
            if len(self._promised) > 256:
                self._promised.clear()
        return stored | self._promised.keys()

    def _check(self, obj: dict[str, Any], given: str, taken: set[str]) -> str:
        name, path = obj["metadata"].get("name", ""), "spec.clusterIPs"
        try:
            address = ipaddress.ip_address(given)
        except ValueError:
            fault = field.invalid(path, [given], "must be a valid IP address")
            raise errors.invalid("Service", name, [fault]) from None
        if address not in self._block:
            why = f"failed to allocate IP {given}: the provided IP ({given}) is not in the valid " \
                  f"range. The range of valid IPs is {self._block}"  # fmt: skip
            raise errors.invalid("Service", name, [field.invalid(path, [given], why)])
        if given in taken:
            why = f"failed to allocate IP {given}: provided IP is already allocated"
            raise errors.invalid("Service", name, [field.invalid(path, [given], why)])
        return given

    def _choose(self, taken: set[str]) -> str:
        size = self._block.num_addresses - 1
        for step in range(size - FIRST_FREE):
            number = FIRST_FREE + (self._next - FIRST_FREE + step) % (size - FIRST_FREE)
            if (address := str(self._block[number])) not in taken:
                self._next = number + 1
                return address
        raise errors.InternalError("failed to allocate a serviceIP: range is full")

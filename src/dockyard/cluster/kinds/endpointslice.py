"""EndpointSlices: a Service's addresses, at most a hundred an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, UNSET, age, name, text
from dockyard.cluster.kinds.endpoints import endpoint_address, few
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import subdomain_name

_FAMILIES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
MAX_ENDPOINTS = 1000
MAX_PORTS = 20000
MAX_ADDRESSES = 100


def _default(obj: dict[str, Any]) -> None:
    obj.setdefault("endpoints", [])
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    family = obj.get("addressType")
    faults = checks.one_of(family, "addressType", _FAMILIES)
    endpoints, ports = obj.get("endpoints") or (), obj.get("ports") or ()
    if len(endpoints) > MAX_ENDPOINTS:
        faults.append(field.too_many("endpoints", len(endpoints), MAX_ENDPOINTS))
    for index, each in enumerate(endpoints):
        at = f"endpoints[{index}].addresses"
        addresses = each.get("addresses") or ()
        if not addresses:
            faults.append(field.required(at, "must contain at least 1 address"))
        elif len(addresses) > MAX_ADDRESSES:
            faults.append(field.too_many(at, len(addresses), MAX_ADDRESSES))
        for number, address in enumerate(addresses):
            where = f"{at}[{number}]"
            if family == "FQDN":
                faults += checks.named(address, where, subdomain_name)
                continue
            found = endpoint_address(address, where)
            if not found and (":" in address) != (family == "IPv6"):
                found = [field.invalid(where, address, f"must be an {family} address")]
            faults += found
    for index, port in enumerate(ports):
        at = f"ports[{index}]"
        faults += checks.one_of(port.get("protocol"), f"{at}.protocol", _PROTOCOLS)
        if port.get("port") is not None:
            faults += checks.port_number(port["port"], f"{at}.port")
    seen: set[str] = set()
    for index, port in enumerate(ports):
        if port.get("name", "") in seen:
            faults.append(field.duplicate(f"ports[{index}].name", port.get("name", "")))
        seen.add(port.get("name", ""))
    return faults


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    return field.immutable("addressType", obj.get("addressType"), old.get("addressType"))


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    ports = [str(each["port"]) if each.get("port") else "*" for each in obj.get("ports") or ()]
    addresses = [one for each in obj.get("endpoints") or () for one in each.get("addresses") or ()]
    return [
        name(obj),
        obj.get("addressType", ""),
        few(ports, UNSET),
        few(addresses, UNSET),
        age(obj, now),
    ]


KINDS = (
    Kind(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        has_generation=True,
        fill_defaults=_default,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("AddressType", "IPv4, IPv6 or FQDN."),
            text("Ports", "Ports of its endpoints."),
            text("Endpoints", "Addresses."),
            AGE,
        ),
        cells=_cells,
    ),
)

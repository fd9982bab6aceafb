"""Endpoints: a Service's addresses as older readers want them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, NONE, age, name, text
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

SHOWN = 3
_PROTOCOLS = ("TCP", "UDP", "SCTP")


def _default(obj: dict[str, Any]) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def endpoint_address(value: str, path: str) -> list[FieldError]:
    """An address that a Service may lead to: not the node itself, not its link (F20)."""
    faults = checks.address(value, path)
    if faults:
        return faults
    address = ipaddress.ip_address(value)
    for bad, why in (
        (address.is_unspecified, f"may not be unspecified ({value})"),
        (address.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (address.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (
            address.is_multicast and value.startswith(("224.0.0.", "ff02:")),
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ):
        if bad:
            faults.append(field.invalid(path, value, why))
    return faults


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        at = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            faults.append(field.required(at, "must specify `addresses` or `notReadyAddresses`"))
        for part in ("addresses", "notReadyAddresses"):
            for number, each in enumerate(subset.get(part) or ()):
                faults += endpoint_address(each.get("ip", ""), f"{at}.{part}[{number}].ip")
        ports = subset.get("ports") or ()
        for number, port in enumerate(ports):
            where = f"{at}.ports[{number}]"
            if len(ports) > 1 and not port.get("name"):
                faults.append(field.required(f"{where}.name"))
            faults += checks.port_number(port.get("port", 0), f"{where}.port")
            faults += checks.one_of(port.get("protocol"), f"{where}.protocol", _PROTOCOLS)
    return faults


def few(values: list[str], nothing: str) -> str:
    """At most three, and how many more there are."""
    text = ",".join(values[:SHOWN]) or nothing
    return f"{text} + {len(values) - SHOWN} more..." if len(values) > SHOWN else text


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [each.get("ip", "") for each in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            found += addresses
        for port in ports:
            for ip in addresses:
                found.append(f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}")
    return [name(obj), few(found, NONE), age(obj, now)]


KINDS = (
    Kind(
        "",
        "v1",
        "Endpoints",
        "endpoints",
        singular="endpoints",
        short_names=("ep",),
        fill_defaults=_default,
        check=_check,
        columns=(NAME, text("Endpoints", "Addresses and ports that are ready."), AGE),
        cells=_cells,
    ),
)

"""Turns a Service into its faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.endpoints import endpoint_address
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import label_name, subdomain_name
from dockyard.cluster.meta.objectmeta import validate_labels

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
LONGEST_AFFINITY = 86400


def check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    kind, ports = spec.get("type"), spec.get("ports") or ()
    headless = spec.get("clusterIP") == "None"
    faults: list[FieldError] = []
    if not ports and not headless and kind != "ExternalName":
        faults.append(field.required("spec.ports"))
    faults += checks.one_of(kind, "spec.type", TYPES)
    if kind == "ExternalName":
        faults += _external_name(spec)
    elif kind in {"LoadBalancer", "NodePort"} and headless:
        faults.append(
            field.invalid(
                "spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"
            )
        )
    faults += _ports(ports)
    faults += validate_labels(spec.get("selector"), "spec.selector")
    faults += _affinity(spec)
    faults += _addresses(spec)
    for name in ("externalTrafficPolicy", "internalTrafficPolicy"):
        if name in spec:
            faults += checks.one_of(spec[name], f"spec.{name}", ("Cluster", "Local"))
    policy = spec.get("ipFamilyPolicy")
    if policy:
        faults += checks.one_of(
            policy,
            "spec.ipFamilyPolicy",
            ("PreferDualStack", "RequireDualStack", "SingleStack"),
        )
    return faults


def _external_name(spec: Mapping[str, Any]) -> list[FieldError]:
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        return [field.required("spec.externalName")]
    faults = [field.invalid("spec.externalName", name, why) for why in subdomain_name(name)]
    if spec.get("clusterIP"):
        faults.append(
            field.forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")
        )
    return faults


def _ports(ports: Any) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        name = port.get("name", "")
        if len(ports) > 1 and not name:
            faults.append(field.required(f"{at}.name"))
        faults += [field.invalid(f"{at}.name", name, why) for why in label_name(name) if name]
        faults += checks.port_number(port.get("port", 0), f"{at}.port")
        faults += checks.one_of(port.get("protocol"), f"{at}.protocol", PROTOCOLS)
        faults += checks.port_or_name(port.get("targetPort", 0), f"{at}.targetPort")
        if port.get("nodePort"):
            faults += checks.port_number(port["nodePort"], f"{at}.nodePort")
    faults += checks.distinct(
        (f"spec.ports[{i}].name", each.get("name")) for i, each in enumerate(ports)
    )
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            shown = {"port": port.get("port"), "protocol": port.get("protocol")}
            faults.append(field.duplicate(f"spec.ports[{index}]", shown))
        seen.add(key)
    return faults


def _affinity(spec: Mapping[str, Any]) -> list[FieldError]:
    faults = checks.one_of(
        spec.get("sessionAffinity"), "spec.sessionAffinity", ("ClientIP", "None")
    )
    client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    seconds = client.get("timeoutSeconds")
    if seconds is not None and not 0 < seconds <= LONGEST_AFFINITY:
        faults.append(
            field.invalid(
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                seconds,
                f"must be greater than 0 and less than {LONGEST_AFFINITY}",
            )
        )
    return faults


def _addresses(spec: Mapping[str, Any]) -> list[FieldError]:
    faults: list[FieldError] = []
    address = spec.get("clusterIP", "")
    if address not in {"", "None"}:
        faults += checks.address(address, "spec.clusterIPs[0]")
    addresses = spec.get("clusterIPs") or ()
    if address and addresses and addresses[0] != address:
        faults.append(
            field.invalid("spec.clusterIPs", list(addresses), "first value must match `clusterIP`")
        )
    if addresses and not address:
        faults.append(
            field.invalid(
                "spec.clusterIPs",
                list(addresses),
                "must be empty when `clusterIP` is not specified",
            )
        )
    for index, each in enumerate(addresses[1:], 1):
        faults += checks.address(each, f"spec.clusterIPs[{index}]")
    for index, each in enumerate(spec.get("externalIPs") or ()):
        faults += endpoint_address(each, f"spec.externalIPs[{index}]")
    return faults


def check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    """The address of a Service is for life."""
    spec, before = obj.get("spec", {}), old.get("spec", {})
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    if before.get("clusterIP") and spec.get("clusterIP") != before["clusterIP"]:
        return [
            field.invalid(
                "spec.clusterIPs[0]", spec.get("clusterIP", ""), "may not change once set"
            )
        ]
    return []

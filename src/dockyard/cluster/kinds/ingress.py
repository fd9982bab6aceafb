"""Ingresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, NONE, age, name, text
from dockyard.cluster.kinds.endpoints import SHOWN
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import label_1035_name, port_name, subdomain_name

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_ENDS = ("/..", "/.")


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    faults: list[FieldError] = []
    if not rules and backend is None:
        faults.append(
            field.invalid(
                "spec", dict(spec), "either `defaultBackend` or `rules` must be specified"
            )
        )
    if backend is not None:
        faults += _backend(backend, "spec.defaultBackend")
    class_name = spec.get("ingressClassName")
    if class_name is not None:
        faults += checks.named(class_name, "spec.ingressClassName", subdomain_name)
    for index, rule in enumerate(rules):
        at = f"spec.rules[{index}]"
        faults += _host(rule.get("host", ""), f"{at}.host")
        if "http" in rule:
            faults += _paths(rule["http"].get("paths") or (), f"{at}.http.paths")
    for index, each in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(each.get("hosts") or ()):
            faults += _host(host, f"spec.tls[{index}].hosts[{number}]")
    return faults


def _host(host: str, path: str) -> list[FieldError]:
    if not host:
        return []
    if not checks.address(host, path):
        return [field.invalid(path, host, "must be a DNS name, not an IP address")]
    return [field.invalid(path, host, why) for why in subdomain_name(host.removeprefix("*."))]


def _paths(paths: Any, at: str) -> list[FieldError]:
    if not paths:
        return [field.required(at)]
    faults: list[FieldError] = []
    for index, each in enumerate(paths):
        where = f"{at}[{index}]"
        kind, path = each.get("pathType"), each.get("path", "")
        if kind is None:
            faults.append(field.required(f"{where}.pathType", "pathType must be specified"))
        elif kind not in PATH_TYPES:
            faults.append(field.not_supported(f"{where}.pathType", kind, PATH_TYPES))
        elif kind == "ImplementationSpecific" and not path:
            pass
        else:
            faults += _path(path, f"{where}.path", strict=kind != "ImplementationSpecific")
        faults += _backend(each.get("backend") or {}, f"{where}.backend")
    return faults


def _path(path: str, at: str, *, strict: bool) -> list[FieldError]:
    if not path.startswith("/"):
        return [field.invalid(at, path, "must be an absolute path")]
    if not strict:
        return []
    faults = [
        field.invalid(at, path, f"must not contain '{each}'")
        for each in _NOT_IN_PATHS
        if each in path
    ]
    return faults + [
        field.invalid(at, path, f"cannot end with '{each}'")
        for each in _NOT_AT_ENDS
        if path.endswith(each)
    ]


def _backend(backend: Mapping[str, Any], at: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [field.invalid(at, "", "cannot set both resource and service backends")]
    if resource is not None:
        return checks.needed(resource, f"{at}.resource", "kind", "name")
    if service is None:
        return [field.required(f"{at}.service.name"), *_backend_port({}, at)]
    faults = checks.named(service.get("name", ""), f"{at}.service.name", label_1035_name)
    return faults + _backend_port(service.get("port") or {}, at)


def _backend_port(port: Mapping[str, Any], at: str) -> list[FieldError]:
    label, number = port.get("name"), port.get("number")
    if label and number:
        return [field.invalid(at, "", "cannot set both port name & port number")]
    if label:
        return [field.invalid(f"{at}.service.port.name", label, why) for why in port_name(label)]
    if number:
        return checks.port_number(number, f"{at}.service.port.number")
    return [field.required(f"{at}.service.port", "port name or number is required")]


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    balancer = obj.get("status", {}).get("loadBalancer") or {}
    hosts = [each["host"] for each in spec.get("rules") or () if each.get("host")]
    shown = ",".join(hosts[:SHOWN]) or "*"
    if len(hosts) > SHOWN:
        shown = f"{shown} + {len(hosts) - SHOWN} more..."
    addresses = [each.get("ip") or each.get("hostname") for each in balancer.get("ingress") or ()]
    annotations = obj.get("metadata", {}).get("annotations") or {}
    return [
        name(obj),
        spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or NONE,
        shown,
        ",".join(each for each in addresses if each),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


KINDS = (
    Kind(
        "networking.k8s.io",
        "v1",
        "Ingress",
        "ingresses",
        short_names=("ing",),
        subresources=(STATUS,),
        has_generation=True,
        check=_check,
        columns=(
            NAME,
            text("Class", "Who serves it."),
            text("Hosts", "Names that it answers to."),
            text("Address", "Where it is reached."),
            text("Ports", "Its ports."),
            AGE,
        ),
        cells=_cells,
    ),
)

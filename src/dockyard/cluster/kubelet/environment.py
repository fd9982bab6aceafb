"""Turns a container's ``env`` and ``envFrom`` into variables, and ``$(NAME)`` into values. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dockyard.base.errors import NotFound, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.meta import quantity

REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.\-][A-Za-z0-9_.\-]*)\)")
Lookup = Callable[[str, str], Object | None]
"""(``configmaps`` or ``secrets``, name) -> the object of the pod's namespace."""


class ConfigError(NotFound):
    """A ConfigMap, a Secret or a key of one is missing: the container waits for it."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$(NAME)`` becomes the value if there is one; ``$$`` is a dollar."""

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return values.get(match[1], match[0])

    return REFERENCE.sub(replacement, text)


def variables(
    pod: Object, container: Object, status: Mapping[str, str], lookup: Lookup,
    services: Iterable[Object],
) -> dict[str, str]:  # fmt: skip
    """All variables of a container. ``status``: podIP, hostIP and nodeName as they are now."""
    found = service_variables(services) if pod["spec"].get("enableServiceLinks", True) else {}
    for source in container.get("envFrom") or ():
        found.update(_from_source(source, lookup))
    for entry in container.get("env") or ():
        name = entry["name"]
        if "valueFrom" in entry:
            value = _from_reference(entry["valueFrom"], pod, container, status, lookup)
            if value is not None:
                found[name] = value
        else:
            found[name] = expand(entry.get("value", ""), found)
    return found


def _from_source(source: Object, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix", "")
    kind, reference = (
        ("configmaps", source["configMapRef"])
        if "configMapRef" in source
        else ("secrets", source["secretRef"])
    )
    data = _data(kind, reference["name"], bool(reference.get("optional")), lookup)
    return {f"{prefix}{key}": value.decode(errors="replace") for key, value in data.items()}


def _data(kind: str, name: str, optional: bool, lookup: Lookup) -> dict[str, bytes]:
    obj = lookup(kind, name)
    if obj is None:
        if optional:
            return {}
        raise ConfigError(f'{kind[:-1]} "{name}" not found')
    return contents(kind, obj)


def contents(kind: str, obj: Object) -> dict[str, bytes]:
    """Keys and bytes of a ConfigMap or Secret."""
    if kind == "secrets":
        data = obj.get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}
    plain = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    binary = {k: base64.b64decode(v) for k, v in (obj.get("binaryData") or {}).items()}
    return plain | binary


def _from_reference(
    source: Object, pod: Object, container: Object, status: Mapping[str, str], lookup: Lookup
) -> str | None:
    for name, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if name in source:
            reference = source[name]
            optional = bool(reference.get("optional"))
            data = _data(kind, reference["name"], optional, lookup)
            if reference["key"] not in data:
                if optional:
                    return None
                raise ConfigError(
                    f"couldn't find key {reference['key']} in {kind[:-1]} {reference['name']}"
                )
            return data[reference["key"]].decode(errors="replace")
    if "fieldRef" in source:
        return field(source["fieldRef"]["fieldPath"], pod, status)
    if "resourceFieldRef" in source:
        return _resource(source["resourceFieldRef"], container)
    raise Unsupported(f"env: valueFrom: {', '.join(source)}: not implemented")


def field(path: str, pod: Object, status: Mapping[str, str]) -> str:
    """A field of a pod, as the downward API names it."""
    metadata, spec = pod["metadata"], pod["spec"]
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
        "status.hostIP": status.get("hostIP", ""),
    }
    if path in simple:
        return str(simple[path])
    match = re.fullmatch(r"metadata\.(labels|annotations)(?:\['(.+)'\])?", path)
    if match is None:
        raise Unsupported(f"env: fieldRef {path}: not implemented")
    values: Mapping[str, Any] = metadata.get(match[1]) or {}
    if match[2]:
        return str(values.get(match[2], ""))
    return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))


def _resource(reference: Object, container: Object) -> str:
    kind, _, name = reference["resource"].partition(".")
    amount = (container.get("resources", {}).get(kind) or {}).get(name, "0")
    divisor = reference.get("divisor") or "1"
    divisor = "1" if str(divisor) == "0" else divisor
    value = quantity.value_of(amount) / quantity.value_of(divisor)
    return str(int(value.to_integral_value(rounding="ROUND_CEILING")))


def service_variables(services: Iterable[Object]) -> dict[str, str]:
    """``WEB_SERVICE_HOST`` and so on, of Services with a cluster IP."""
    found: dict[str, str] = {}
    for service in services:
        spec = service["spec"]
        address, ports = spec.get("clusterIP", ""), spec.get("ports") or ()
        if address in ("", "None") or not ports:
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        first = ports[0]
        found[f"{name}_SERVICE_HOST"] = address
        found[f"{name}_SERVICE_PORT"] = str(first["port"])
        for port in ports:
            number, protocol = port["port"], port.get("protocol", "TCP")
            if port.get("name"):
                label = port["name"].upper().replace("-", "_")
                found[f"{name}_SERVICE_PORT_{label}"] = str(number)
            url = f"{protocol.lower()}://{address}:{number}"
            if port is first:
                found[f"{name}_PORT"] = url
            base = f"{name}_PORT_{number}_{protocol}"
            found |= {base: url, f"{base}_PROTO": protocol.lower(),
                      f"{base}_PORT": str(number), f"{base}_ADDR": address}  # fmt: skip
    return found

"""Services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds.columns import AGE, NAME, NONE, SELECTOR, age, labels, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind, Subresource
from dockyard.cluster.kinds.service.defaults import default_service, patch_allocated
from dockyard.cluster.kinds.service.validate import check, check_update
from dockyard.cluster.meta.names import label_1035_name

_PROXY = ("create", "delete", "get", "patch", "update")


def _on_create(obj: dict[str, Any]) -> None:
    obj["status"] = {"loadBalancer": {}}


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec = obj.get("spec", {})
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    return [
        name(obj),
        spec.get("type", ""),
        addresses[0] or NONE,
        _external(obj),
        _ports(spec.get("ports") or ()),
        age(obj, now),
        labels(spec.get("selector")),
    ]


def _external(obj: Mapping[str, Any]) -> str:
    spec = obj.get("spec", {})
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    found = list(spec.get("externalIPs") or ())
    if spec.get("type") == "LoadBalancer":
        balancer = obj.get("status", {}).get("loadBalancer") or {}
        given = [each.get("ip") or each.get("hostname") for each in balancer.get("ingress") or ()]
        found = [*given, *found]
        return ",".join(found) or "<pending>"
    return ",".join(found) or NONE


def _ports(ports: Any) -> str:
    found = [
        f"{each.get('port')}:{each['nodePort']}/{each.get('protocol')}"
        if each.get("nodePort")
        else f"{each.get('port')}/{each.get('protocol')}"
        for each in ports
    ]
    return ",".join(found) or NONE


def _fields(obj: Mapping[str, Any]) -> dict[str, str]:
    spec = obj.get("spec", {})
    return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}


KINDS = (
    Kind(
        "",
        "v1",
        "Service",
        "services",
        short_names=("svc",),
        categories=("all",),
        subresources=(Subresource("proxy", _PROXY, "ServiceProxyOptions"), STATUS),
        name_rule=label_1035_name,
        fill_defaults=default_service,
        on_create=_on_create,
        on_update=patch_allocated,
        check=check,
        check_update=check_update,
        columns=(
            NAME,
            text("Type", "How it is reached."),
            text("Cluster-IP", "Its address in the cluster."),
            text("External-IP", "Its addresses from outside."),
            text("Port(s)", "Its ports."),
            AGE,
            SELECTOR,
        ),
        cells=_cells,
        fields=_fields,
        field_names=frozenset({"spec.clusterIP", "spec.type"}),
    ),
)

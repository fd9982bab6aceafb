"""Turns a Service into one with its type, affinity, policies and target ports filled in."""

from __future__ import annotations

from typing import Any

AFFINITY_SECONDS = 10800
"""How long a client stays with its endpoint, with ``sessionAffinity: ClientIP``."""
_REACHED_FROM_OUTSIDE = ("NodePort", "LoadBalancer")


def default_service(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    else:
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", AFFINITY_SECONDS)
    spec["type"] = kind = spec.get("type") or "ClusterIP"
    for port in spec.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
    if kind in _REACHED_FROM_OUTSIDE or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if kind != "ExternalName":
        spec["internalTrafficPolicy"] = spec.get("internalTrafficPolicy") or "Cluster"
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def patch_allocated(obj: dict[str, Any], old: Any) -> None:
    """An update that leaves out what the API once allocated keeps it (``kubectl replace``)."""
    spec, before = obj["spec"], old.get("spec", {})
    if spec.get("type") == "ExternalName" or before.get("type") == "ExternalName":
        return
    for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if not spec.get(name) and before.get(name):
            spec[name] = before[name]
    if {spec.get("type"), before.get("type")} <= set(_REACHED_FROM_OUTSIDE):
        numbers = {
            (each.get("protocol"), each.get("port")): each.get("nodePort")
            for each in before.get("ports") or ()
        }
        for port in spec.get("ports") or ():
            kept = numbers.get((port.get("protocol"), port.get("port")))
            if not port.get("nodePort") and kept:
                port["nodePort"] = kept

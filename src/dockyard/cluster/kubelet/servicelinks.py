"""Turns Services into the variables that Docker's links once had: ``WEB_SERVICE_HOST``. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.cluster.client.transport import Object


def visible(services: Iterable[Object], namespace: str, *, links: bool) -> list[Object]:
    """Services whose variables a pod gets: ``default/kubernetes``, and with links its own."""
    found: dict[str, Object] = {}
    for service in services:
        metadata = service["metadata"]
        is_master = (metadata["namespace"], metadata["name"]) == ("default", "kubernetes")
        own = links and metadata["namespace"] == namespace
        if own or (is_master and metadata["name"] not in found):
            found[metadata["name"]] = service
    return list(found.values())


def variables(services: Iterable[Object]) -> dict[str, str]:
    """Of every Service that has a cluster IP."""
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
            url = f"{protocol.lower()}://{_host(address)}:{number}"
            if port is first:
                found[f"{name}_PORT"] = url
            base = f"{name}_PORT_{number}_{protocol}"
            found |= {base: url, f"{base}_PROTO": protocol.lower(),
                      f"{base}_PORT": str(number), f"{base}_ADDR": address}  # fmt: skip
    return found


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address

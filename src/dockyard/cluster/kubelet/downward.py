"""Turns fields of a pod and resources of its containers into text: the downward API. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.meta import quantity

Status = Mapping[str, str]
"""``podIP``, ``hostIP`` and so on, as they are now; ``cpu`` and ``memory`` of the node."""


def field(path: str, pod: Object, status: Status) -> str:
    """A field of a pod, by the names that ``fieldRef`` knows."""
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
        "status.hostIPs": status.get("hostIP", ""),
    }
    if path in simple:
        return str(simple[path])
    match = re.fullmatch(r"metadata\.(labels|annotations)(?:\['(.+)'\])?", path)
    if match is None:
        raise Unsupported(f"fieldRef: {path}: not implemented")
    values: Mapping[str, Any] = metadata.get(match[1]) or {}
    if match[2]:
        return str(values.get(match[2], ""))
    return "\n".join(f'{key}="{_quoted(str(value))}"' for key, value in sorted(values.items()))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource(reference: Object, pod: Object, container: Object | None, status: Status) -> str:
    """A container's request or limit in units of the divisor, rounded up.

    ``container``: the one whose variable this is; a volume's reference names one. A limit that is
    not set is the node's.
    """
    if name := reference.get("containerName"):
        all_of_them = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
        container = next((each for each in all_of_them if each["name"] == name), None)
    if container is None:
        raise Invalid(f"resourceFieldRef: container {reference.get('containerName')!r} not found")
    kind, _, what = reference["resource"].partition(".")
    section = container.get("resources") or {}
    amount = (section.get(kind) or {}).get(what)
    if amount is None and kind == "limits":
        amount = status.get(what)
    if amount is None and kind == "requests":
        amount = (section.get("limits") or {}).get(what)
    divisor = quantity.value_of(reference.get("divisor") or "1") or 1
    value = quantity.value_of(amount or "0") / divisor
    return str(int(value.to_integral_value(rounding="ROUND_CEILING")))

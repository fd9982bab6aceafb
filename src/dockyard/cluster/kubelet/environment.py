"""Turns a container's ``env`` and ``envFrom`` into variables, and ``$(NAME)`` into values. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

from dockyard.base.errors import Invalid, NotFound, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import downward, servicelinks
from dockyard.cluster.kubelet.downward import Status
from dockyard.cluster.kubelet.references import Lookup


class ConfigError(NotFound):
    """What a pod names is not there, or not yet: it waits for it."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$(NAME)`` becomes the value if there is one; ``$$`` is a dollar.

    What is no reference stays as it is (kubernetes' third_party/forked/golang/expansion): a name is
    all up to the next ``)``, whatever stands in it.
    """
    out: list[str] = []
    place = 0
    while (dollar := text.find("$", place)) >= 0:
        out.append(text[place:dollar])
        following = text[dollar + 1 : dollar + 2]
        end = text.find(")", dollar) if following == "(" else -1
        if end >= 0:
            out.append(values.get(text[dollar + 2 : end], text[dollar : end + 1]))
            place = end + 1
        elif following == "$":
            out.append("$")
            place = dollar + 2
        else:
            out.append(text[dollar : dollar + 2])
            place = dollar + 2
    return "".join(out) + text[place:]


def variables(
    pod: Object, container: Object, status: Status, lookup: Lookup, services: Iterable[Object]
) -> dict[str, str]:
    """All variables of a container. Raises ConfigError for what is not there."""
    links = pod["spec"].get("enableServiceLinks", True)
    seen = servicelinks.visible(services, pod["metadata"]["namespace"], links=links)
    outside = servicelinks.variables(seen)
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        found.update(_from_source(source, lookup))
    for entry in container.get("env") or ():
        name = entry["name"]
        if "valueFrom" in entry:
            value = _from_reference(entry["valueFrom"], pod, container, status, lookup)
            if value is not None:
                found[name] = value
        else:
            found[name] = expand(entry.get("value", ""), outside | found)
    return {**{name: value for name, value in outside.items() if name not in found}, **found}


def _from_source(source: Object, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix", "")
    kind, reference = (
        ("configmap", source["configMapRef"])
        if "configMapRef" in source
        else ("secret", source["secretRef"])
    )
    obj = lookup(kind, reference["name"])
    if obj is None:
        if reference.get("optional"):
            return {}
        raise missing(kind, reference["name"])
    data = contents(kind, obj, binary=False)
    return {f"{prefix}{key}": value.decode(errors="replace") for key, value in data.items()}


def missing(kind: str, name: str) -> ConfigError:
    """``configmap "x" not found``."""
    return ConfigError(f'{kind} "{name}" not found')


def contents(kind: str, obj: Object, *, binary: bool = True) -> dict[str, bytes]:
    """Keys and bytes of a ConfigMap or Secret."""
    try:
        if kind == "secret":
            data = obj.get("data") or {}
            return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
        plain = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
        more = (obj.get("binaryData") or {}) if binary else {}
        return plain | {key: base64.b64decode(value, validate=True) for key, value in more.items()}
    except ValueError as error:
        raise Invalid(f"{kind} {obj['metadata']['name']}: no base64: {error}") from error


def _from_reference(
    source: Object, pod: Object, container: Object, status: Status, lookup: Lookup
) -> str | None:
    for name, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
        if name in source:
            return _key(kind, source[name], pod, lookup)
    if "fieldRef" in source:
        return downward.field(source["fieldRef"]["fieldPath"], pod, status)
    if "resourceFieldRef" in source:
        return downward.resource(source["resourceFieldRef"], pod, container, status)
    raise Unsupported(f"env: valueFrom: {', '.join(source)}: not implemented")


def _key(kind: str, reference: Object, pod: Object, lookup: Lookup) -> str | None:
    name, key = reference["name"], reference["key"]
    obj = lookup(kind, name)
    data = contents(kind, obj, binary=False) if obj is not None else {}
    if key in data:
        return data[key].decode(errors="replace")
    if reference.get("optional"):
        return None
    if obj is None:
        raise missing(kind, name)
    what = "ConfigMap" if kind == "configmap" else "Secret"
    namespace = pod["metadata"]["namespace"]
    raise ConfigError(f"couldn't find key {key} in {what} {namespace}/{name}")

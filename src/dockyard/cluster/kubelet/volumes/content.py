"""Turns ConfigMap, Secret, downward API and projected volumes into files. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dockyard.base.errors import Denied, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import downward
from dockyard.cluster.kubelet.downward import Status
from dockyard.cluster.kubelet.environment import ConfigError, contents, missing
from dockyard.cluster.kubelet.references import Lookup

DEFAULT_MODE = 0o644


class File(NamedTuple):
    """One file of a volume."""

    data: bytes
    mode: int


Files = Mapping[str, File]
"""By path below the volume."""


def files_of(volume: Object, pod: Object, lookup: Lookup, status: Status) -> dict[str, File]:
    """The files of one volume. Raises ConfigError for what is not there."""
    if "projected" in volume:
        projected = volume["projected"]
        mode = projected.get("defaultMode", DEFAULT_MODE)
        found: dict[str, File] = {}
        for source in projected.get("sources") or ():
            found |= _source(source, mode, pod, lookup, status)
    else:
        section = volume.get("configMap") or volume.get("secret") or volume.get("downwardAPI") or {}
        found = _source(volume, section.get("defaultMode", DEFAULT_MODE), pod, lookup, status)
    for path in found:
        check_path(path)
    return found


def _source(
    source: Object, mode: int, pod: Object, lookup: Lookup, status: Status
) -> dict[str, File]:
    if "configMap" in source:
        return _keys("configmap", source["configMap"]["name"], source["configMap"], mode, lookup)
    if "secret" in source:
        section = source["secret"]
        return _keys("secret", section.get("secretName") or section["name"], section, mode, lookup)
    if "downwardAPI" in source:
        items = source["downwardAPI"].get("items") or ()
        return {item["path"]: File(_item(item, pod, status).encode(), item.get("mode", mode))
                for item in items}  # fmt: skip
    kind = next(iter(source), "nothing")
    raise Unsupported(f"projected volume: {kind}: not implemented")


def _item(item: Object, pod: Object, status: Status) -> str:
    if "fieldRef" in item:
        return downward.field(item["fieldRef"]["fieldPath"], pod, status)
    return downward.resource(item["resourceFieldRef"], pod, None, status)


def _keys(kind: str, name: str, section: Object, mode: int, lookup: Lookup) -> dict[str, File]:
    obj = lookup(kind, name)
    optional = bool(section.get("optional"))
    if obj is None and not optional:
        raise missing(kind, name)
    data = contents(kind, obj) if obj is not None else {}
    items = section.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    found = {}
    for item in items:
        if item["key"] in data:
            found[item["path"]] = File(data[item["key"]], item.get("mode", mode))
        elif not optional:
            raise ConfigError(f"references non-existent {_word(kind)} key: {item['key']}")
    return found


def _word(kind: str) -> str:
    return "config" if kind == "configmap" else kind


def check_path(path: str) -> None:
    """Refuse what leaves the volume, or what would be taken for our own entries (F23)."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise Denied(f"volume: {path!r}: a path below the volume that begins with no '..' is meant")

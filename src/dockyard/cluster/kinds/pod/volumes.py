"""Turns a pod's volumes into the names that containers may mount, and their faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import config_key, label_name

_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate",
    "Socket",
)  # fmt: skip
MODE_RANGE = "must be a number between 0 and 0777 (octal), both inclusive"


def validate(volumes: Sequence[Mapping[str, Any]], path: str) -> tuple[set[str], list[FieldError]]:
    """The names of the volumes, and what is wrong with them."""
    known: set[str] = set()
    faults: list[FieldError] = []
    for index, volume in enumerate(volumes):
        at = f"{path}[{index}]"
        name = volume.get("name", "")
        faults += checks.named(name, f"{at}.name", label_name)
        if name in known:
            faults.append(field.duplicate(f"{at}.name", name))
        faults += _source(volume, at)
        known.add(name)
    return known, faults


def _source(volume: Mapping[str, Any], path: str) -> list[FieldError]:
    sources = [name for name in volume if name != "name"]
    if not sources:
        return [field.required(path, "must specify a volume type")]
    faults = [
        field.forbidden(f"{path}.{name}", "may not specify more than 1 volume type")
        for name in sources[1:]
    ]
    name = sources[0]
    source, at = volume[name], f"{path}.{name}"
    if name == "secret":
        faults += checks.needed(source, at, "secretName")
        faults += _files(source, at)
    elif name == "configMap":
        faults += checks.needed(source, at, "name")
        faults += _files(source, at)
    elif name == "hostPath":
        faults += checks.needed(source, at, "path")
        if ".." in source.get("path", "").split("/"):
            faults.append(field.invalid(f"{at}.path", source["path"], "must not contain '..'"))
        if source.get("type", "") not in _HOST_PATH_TYPES:
            faults.append(field.not_supported(f"{at}.type", source["type"], _HOST_PATH_TYPES))
    elif name == "persistentVolumeClaim":
        faults += checks.needed(source, at, "claimName")
    elif name == "emptyDir":
        if "sizeLimit" in source:
            faults += checks.amount(source["sizeLimit"], f"{at}.sizeLimit")
    elif name == "nfs":
        faults += checks.needed(source, at, "server", "path")
    elif name == "projected":
        faults += _mode(source, at, "defaultMode")
    elif name == "downwardAPI":
        faults += _mode(source, at, "defaultMode")
        for index, item in enumerate(source.get("items") or ()):
            faults += _path(item.get("path", ""), f"{at}.items[{index}].path")
    return faults


def _mode(source: Mapping[str, Any], path: str, name: str) -> list[FieldError]:
    mode = source.get(name)
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [field.invalid(f"{path}.{name}", mode, MODE_RANGE)]


def _files(source: Mapping[str, Any], path: str) -> list[FieldError]:
    faults = _mode(source, path, "defaultMode")
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        faults += checks.named(item.get("key", ""), f"{at}.key", config_key)
        faults += _path(item.get("path", ""), f"{at}.path")
        faults += _mode(item, at, "mode")
    return faults


def _path(path: str, at: str) -> list[FieldError]:
    """A path inside a volume: relative, and never out of it."""
    if not path:
        return [field.required(at)]
    if path.startswith("/"):
        return [field.invalid(at, path, "must be a relative path")]
    parts = path.split("/")
    if ".." in parts:
        return [field.invalid(at, path, "must not contain '..'")]
    if parts[0].startswith(".."):
        return [field.invalid(at, path, "must not start with '..'")]
    return []

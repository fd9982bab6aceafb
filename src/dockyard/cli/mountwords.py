"""Turns ``--mount type=...,src=...,dst=...`` into a mount, by Docker's rules."""

from __future__ import annotations

import csv
import os
import re

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli.common import size
from dockyard.cli.mountflags import CONSISTENCY, PROPAGATION
from dockyard.node.engine.config import MountSpec
from dockyard.node.engine.mounts import NO_COPY, NO_CREATE, WRITABLE_BELOW

ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
ALONE = ("readonly", "volume-nocopy", "bind-nonrecursive")
"""Keys that may stand without a value."""
KEYS = ("type", "source", "target", "readonly", "consistency")
OF_KIND = {
    "bind": ("bind-propagation", "bind-nonrecursive", "bind-recursive"),
    "volume": ("volume-nocopy", "volume-label", "volume-driver", "volume-opt", "volume-subpath"),
    "image": ("image-subpath",),
    "tmpfs": ("tmpfs-size", "tmpfs-mode"),
}
NOT_IMPLEMENTED = ("volume-label", "volume-opt", "volume-subpath")
RECURSIVE = ("enabled", "disabled", "writable", "readonly")
MODE = re.compile(r"[0-7]{1,5}")


def mount(text: str) -> MountSpec:
    """``type=bind,source=/host,target=/path,readonly``."""
    try:
        found = _words(text)
        kind = found["type"]
        _check_kind(kind, found)
        if not found.get("target"):
            raise Invalid("target is required")
        options = _OPTIONS[kind](found) if kind in _OPTIONS else ()
    except Invalid as error:
        raise Invalid(f'invalid argument "{text}" for "--mount" flag: {error}') from None
    _refuse(kind, found, text)
    source = found.get("source", "")
    if kind == "bind" and source.startswith((".", "~")):
        source = os.path.abspath(os.path.expanduser(source))
    return MountSpec(kind, source, found["target"], _truth(found, "readonly"), options)


def _words(text: str) -> dict[str, str]:
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise Invalid(str(error)) from None
    found = {"type": "volume"}
    for field in fields:
        name, equals, value = field.partition("=")
        name = ALIASES.get(name.lower().strip(), name.lower().strip())
        if not equals and name not in ALONE:
            raise Invalid(f"invalid field '{field}' must be a key=value pair")
        if name not in KEYS and not any(name in keys for keys in OF_KIND.values()):
            raise Invalid(f"unexpected key '{name}' in '{field}'")
        found[name] = value if equals else "true"
    found["type"] = found["type"].lower()
    for name in ALONE:
        _truth(found, name)
    return found


def _truth(found: dict[str, str], name: str) -> bool:
    value = found.get(name, "false")
    if value.lower() not in ("true", "1", "t", "false", "0", "f"):
        raise Invalid(f"invalid value for {name}: {value}")
    return value.lower() in ("true", "1", "t")


def _check_kind(kind: str, found: dict[str, str]) -> None:
    for other, keys in OF_KIND.items():
        if other != kind and any(key in found for key in keys):
            raise Invalid(f"cannot mix '{other}-*' options with mount type '{kind}'")


def _bind(found: dict[str, str]) -> tuple[str, ...]:
    propagation = found.get("bind-propagation", "rprivate")
    recursive = found.get("bind-recursive", "enabled")
    if recursive not in RECURSIVE:
        raise Invalid(f"invalid value for bind-recursive: {recursive} (must be "
                      '"enabled", "disabled", "writable", or "readonly")')  # fmt: skip
    if recursive in ("writable", "readonly") and not _truth(found, "readonly"):
        raise Invalid(f"option 'bind-recursive={recursive}' requires 'readonly' to be specified in "
                      "conjunction")  # fmt: skip
    if recursive == "readonly" and found.get("bind-propagation") != "rprivate":
        raise Invalid("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
                      "specified in conjunction")  # fmt: skip
    alone = recursive == "disabled" or _truth(found, "bind-nonrecursive")
    more = {"writable": (WRITABLE_BELOW,)}.get(recursive, ())
    return (NO_CREATE, propagation, *(("bind",) if alone else ()), *more)


def _volume(found: dict[str, str]) -> tuple[str, ...]:
    return (NO_COPY,) if _truth(found, "volume-nocopy") else ()


def _tmpfs(found: dict[str, str]) -> tuple[str, ...]:
    options = []
    if "tmpfs-size" in found:
        try:
            options.append(f"size={size(found['tmpfs-size'])}")
        except Invalid:
            raise Invalid(f"invalid value for tmpfs-size: {found['tmpfs-size']}") from None
    if "tmpfs-mode" in found:
        if not MODE.fullmatch(found["tmpfs-mode"]):
            raise Invalid(f"invalid value for tmpfs-mode: {found['tmpfs-mode']}")
        options.append(f"mode={found['tmpfs-mode']}")
    return tuple(options)


_OPTIONS = {"bind": _bind, "volume": _volume, "tmpfs": _tmpfs}


def _refuse(kind: str, found: dict[str, str], text: str) -> None:
    """What Docker's daemon says."""
    where = f'invalid mount config for type "{kind}": '
    source = found.get("source", "")
    if kind == "image":
        raise Unsupported(f"--mount {text}: type image: not implemented; bind, volume or tmpfs")
    if kind not in _OPTIONS:
        raise Invalid(f"{where}mount type unknown")
    if kind == "bind" and not source:
        raise Invalid(f"{where}field Source must not be empty")
    if kind == "bind" and not source.startswith(("/", ".", "~")):
        raise Invalid(f"{where}invalid mount path: '{source}' mount path must be absolute")
    if kind == "bind" and found.get("bind-propagation", "private") not in PROPAGATION:
        raise Invalid(f"{where}invalid propagation mode: {found['bind-propagation']}")
    if kind == "tmpfs" and source:
        raise Invalid(f"{where}field Source must not be specified")
    if not found["target"].startswith("/"):
        raise Invalid(f"{where}invalid mount path: '{found['target']}' mount path must be absolute")
    if found.get("consistency", "default") not in CONSISTENCY:
        raise Invalid(f"{where}unknown consistency {found['consistency']}")
    if kind == "volume" and source.startswith("/"):
        raise Invalid(f"{where}invalid volume name: {source}: a folder is type=bind")
    if found.get("volume-driver", "local") not in ("local", ""):
        raise Invalid(f"error looking up volume plugin {found['volume-driver']}: plugin "
                      f'"{found["volume-driver"]}" not found')  # fmt: skip
    for name in NOT_IMPLEMENTED:
        if name in found:
            raise Unsupported(f"--mount {text}: {name}: not implemented")

"""Turns ``-v``, ``--mount`` and ``--tmpfs`` words into mounts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.engine.config import ContainerConfig, MountSpec
from dockyard.node.engine.mounts import NO_COPY, NO_CREATE

if TYPE_CHECKING:
    from dockyard.node.engine.engine import Engine

PROPAGATION = ("shared", "slave", "private", "rshared", "rslave", "rprivate")
IGNORED = ("z", "Z", "rw", "cached", "delegated", "consistent", "")
"""Labels of SELinux, and words of Docker on other systems."""


def volume(text: str) -> MountSpec:
    """``/host:/path[:ro]``, ``name:/path[:ro]`` or ``/path``."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise Invalid(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return MountSpec("volume", "", parts[0])
    source, target = parts[:2]
    modes = parts[2].split(",") if len(parts) == 3 else []
    options = tuple(mode for mode in modes if mode in (*PROPAGATION, NO_COPY))
    if unknown := set(modes) - {*options, *IGNORED, "ro"}:
        raise Invalid(f"invalid mode: {','.join(sorted(unknown))}")
    kind, path = _source(source)
    return MountSpec(kind, path, target, "ro" in modes, options)


def _source(text: str) -> tuple[str, str]:
    if text.startswith(("/", ".", "~")):
        return "bind", os.path.abspath(os.path.expanduser(text))
    return "volume", text


def tmpfs(text: str) -> MountSpec:
    """``/path[:size=64m,mode=1777]``."""
    path, _, options = text.partition(":")
    return MountSpec("tmpfs", "", path, options=tuple(filter(None, options.split(","))))


def mount(text: str) -> MountSpec:
    """``type=bind,source=/host,target=/path,readonly``."""
    words = dict(_word(word, text) for word in text.split(","))
    kind = words.pop("type", "volume")
    source = words.pop("source", words.pop("src", ""))
    target = words.pop("target", words.pop("destination", words.pop("dst", "")))
    read_only = _truth(words.pop("readonly", words.pop("ro", "false")), text)
    options = []
    if kind == "bind":
        options = [NO_CREATE, words.pop("bind-propagation", "rprivate")]
    elif kind == "volume" and _truth(words.pop("volume-nocopy", "false"), text):
        options = [NO_COPY]
    elif kind == "tmpfs":
        for name in ("size", "mode"):
            if value := words.pop(f"tmpfs-{name}", ""):
                options.append(f"{name}={value}")
    if kind not in ("bind", "volume", "tmpfs"):
        raise Unsupported(f"--mount {text}: type {kind}: not implemented; bind, volume or tmpfs")
    if words:
        raise Invalid(f"--mount {text}: unexpected key '{next(iter(words))}'")
    if not target or (kind == "bind" and not source):
        raise Invalid(f"--mount {text}: a {'target' if not target else 'source'} is missing")
    path = os.path.abspath(os.path.expanduser(source)) if kind == "bind" else source
    return MountSpec(kind, path, target, read_only, tuple(options))


def inherit(config: ContainerConfig, engine: Engine, text: str) -> ContainerConfig:
    """``--volumes-from NAME[:ro]``: what that container has mounted, where this one has nothing."""
    name, colon, mode = text.partition(":")
    if colon and mode not in ("ro", "rw"):
        raise Invalid(f"invalid mode for --volumes-from: {text}: ro or rw")
    targets = {found.target.rstrip("/") for found in config.mounts}
    more = (found._replace(read_only=found.read_only or mode == "ro")
            for found in engine.find(name).config.mounts
            if found.kind != "tmpfs" and found.target.rstrip("/") not in targets)  # fmt: skip
    return config._replace(mounts=(*config.mounts, *more))


def _word(word: str, text: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals and name not in ("readonly", "ro", "volume-nocopy"):
        raise Invalid(f"--mount {text}: invalid field '{word}': not KEY=VALUE")
    return name, value if equals else "true"


def _truth(value: str, text: str) -> bool:
    if value not in ("true", "1", "false", "0"):
        raise Invalid(f"--mount {text}: '{value}': true or false")
    return value in ("true", "1")

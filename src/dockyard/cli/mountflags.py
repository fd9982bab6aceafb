"""Turns ``-v``, ``--tmpfs`` and ``--volumes-from`` words into mounts."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import ContainerConfig, MountSpec
from dockyard.node.engine.mounts import NO_COPY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockyard.node.engine.engine import Engine

PROPAGATION = ("shared", "slave", "private", "rshared", "rslave", "rprivate")
CONSISTENCY = ("cached", "delegated", "consistent", "default")
IGNORED = ("z", "Z", "rw", *CONSISTENCY, "")
"""Labels of SELinux, and words of Docker on other systems."""
EXCLUSIVE = (("ro", "rw"), ("z", "Z"), PROPAGATION, CONSISTENCY)
"""Of each of these at most one."""
TMPFS_DATA = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge")
"""Options of tmpfs(5) with a value."""


def volume(text: str) -> MountSpec:
    """``/host:/path[:ro]``, ``name:/path[:ro]`` or ``/path``."""
    parts = text.split(":")
    if len(parts) > 3:
        raise Invalid(f"invalid volume specification: '{text}'")
    if not all(parts):
        raise Invalid(f"invalid spec: {text}: empty section between colons")
    if len(parts) == 1:
        return MountSpec("volume", "", _target(parts[0], text))
    source, target = parts[:2]
    modes = parts[2].split(",") if len(parts) == 3 else []
    options = tuple(mode for mode in modes if mode in (*PROPAGATION, NO_COPY))
    clash = any(sum(mode in group for mode in modes) > 1 for group in EXCLUSIVE)
    if clash or set(modes) - {*options, *IGNORED, "ro"}:
        raise Invalid(f"invalid mode: {parts[2]}")
    kind, path = _source(source)
    if kind == "volume" and any(mode in PROPAGATION for mode in modes):
        raise Invalid(f"invalid volume specification: '{text}': invalid mount config for type "
                      '"volume": field BindOptions must not be specified')  # fmt: skip
    return MountSpec(kind, path, _target(target, text), "ro" in modes, options)


def _target(path: str, text: str) -> str:
    if os.path.normpath(path) in ("/", "//"):
        raise Invalid(f"invalid volume specification: '{text}': invalid mount config for type "
                      "\"bind\": invalid specification: destination can't be '/'")  # fmt: skip
    if not path.startswith("/"):
        raise Invalid(f"invalid volume specification: '{text}': invalid mount config for type "
                      f"\"bind\": invalid mount path: '{path}' mount path must be "
                      "absolute")  # fmt: skip
    return path


def _source(text: str) -> tuple[str, str]:
    if text.startswith(("/", ".", "~")):
        return "bind", os.path.abspath(os.path.expanduser(text))
    return "volume", text


def tmpfs(text: str) -> MountSpec:
    """``/path[:size=64m,mode=1777]``."""
    path, _, words = text.partition(":")
    if not path.startswith("/"):
        raise Invalid(f"invalid mount path: '{path}' mount path must be absolute")
    options = tuple(filter(None, words.split(",")))
    from dockyard.base.oci.mountoptions import CLEAR, PROPAGATION, SET

    unknown = [option for option in options
               if option not in (*SET, *CLEAR, *PROPAGATION)
               and option.partition("=")[0] not in TMPFS_DATA]  # fmt: skip
    if unknown:
        shown = " ".join(f'"{option}"' for option in unknown)
        raise Invalid(f"invalid tmpfs option [{shown}]")
    return MountSpec("tmpfs", "", path, options=options)


def inherit(config: ContainerConfig, engine: Engine, text: str) -> ContainerConfig:
    """``--volumes-from NAME[:ro]``: what that container has mounted, where this one has nothing."""
    name, colon, mode = text.partition(":")
    if colon and mode not in ("ro", "rw", "z", "Z"):
        raise Invalid(f"invalid mode: {mode}")
    targets = {found.target.rstrip("/") for found in config.mounts}
    more = (found._replace(read_only=found.read_only or mode == "ro")
            for found in engine.find(name).config.mounts
            if found.kind != "tmpfs" and found.target.rstrip("/") not in targets)  # fmt: skip
    return config._replace(mounts=(*config.mounts, *more))

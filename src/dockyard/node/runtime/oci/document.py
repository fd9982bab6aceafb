"""Turns a bundle and what the caller passes on into the document of a container or a process."""

from __future__ import annotations

import fcntl
import os

from dockyard.base.errors import Invalid
from dockyard.base.linux.capabilities import NUMBERS
from dockyard.base.oci import strictjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Warn = Callable[[str], None]

LARGEST_CONFIG = 16 * 1024 * 1024
MOST_DESCRIPTORS = 1024


def read_config(bundle: str, container_id: str, driver: str = "cgroupfs") -> dict[str, Any]:
    """config.json of a bundle, its paths made absolute."""
    path = os.path.join(bundle, "config.json")
    with open(path, "rb") as file:
        spec = strictjson.decode_object(file.read(LARGEST_CONFIG + 1), path, limit=LARGEST_CONFIG)
    root = spec.get("root")
    if isinstance(root, dict) and isinstance(root.get("path"), str):
        root["path"] = os.path.join(os.path.abspath(bundle), root["path"])
    linux = spec.setdefault("linux", {})
    if isinstance(linux, dict) and not linux.get("cgroupsPath") and driver == "cgroupfs":
        linux["cgroupsPath"] = f"/dockyard-oci/{container_id}"
    return spec


def descriptors(asked: int) -> int:
    """How many descriptors from 3 on are passed on: those of socket activation
    (sd_listen_fds(3)), then those asked for."""
    count = asked
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        listened = os.environ.get("LISTEN_FDS", "")
        count += int(listened) if listened.isdecimal() else 0
    if not 0 <= count < MOST_DESCRIPTORS:
        raise Invalid(f"--preserve-fds: {asked}: not between 0 and {MOST_DESCRIPTORS}")
    for number in range(3, 3 + count):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            raise Invalid(
                f"--preserve-fds: {asked}: descriptor {number} is not open in this process"
            ) from None
    return count


def inherited(first: int) -> list[int]:
    """Descriptors from ``first`` on that this process has now."""
    found = [int(name) for name in os.listdir("/proc/self/fd")]
    return [number for number in found if number >= first and _is_open(number)]


def _is_open(number: int) -> bool:  # the one that has read the list is not
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def passed_on(process: Any, listened: int) -> Any:
    """A process that is told how many sockets it has been passed (sd_listen_fds(3))."""
    env = process.get("env") or [] if isinstance(process, dict) else None
    if not listened or not isinstance(env, list):
        return process
    return {**process, "env": [*env, f"LISTEN_FDS={listened}", "LISTEN_PID=1"]}


def known_capabilities(process: Any, warn: Warn) -> Any:
    """A process without capabilities that nobody knows: those are told, and no error (config.md,
    "Linux Process"). Ambient ones that the kernel is not going to raise are told too."""
    sets = process.get("capabilities") if isinstance(process, dict) else None
    if not isinstance(sets, dict):
        return process
    named = {
        name: None
        for names in sets.values()
        if isinstance(names, list)
        for name in names
        if isinstance(name, str)
    }
    unknown = [name for name in named if name not in NUMBERS]
    named_in = {kind: names for kind, names in sets.items() if isinstance(names, list)}
    for name in named_in.get("ambient", ()):
        if any(name not in named_in.get(kind, ()) for kind in ("permitted", "inheritable")):
            warn(f"can't raise ambient capability {name}: it is not permitted and inheritable")
    if not unknown:
        return process
    warn(f"ignoring unknown or unavailable capabilities: [{' '.join(unknown)}]")
    kept = {
        kind: [name for name in names if name not in unknown] if isinstance(names, list) else names
        for kind, names in sets.items()
    }
    return {**process, "capabilities": kept}

"""Turns names of the host's devices into nodes and rules of an OCI runtime specification."""

from __future__ import annotations

import os
import stat

from dockyard.base.errors import Invalid, Unsupported
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine.config import DeviceLimit, DeviceSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


NOT_FOUND = 127
"""Docker's exit code for what is not there, be it a program or a device."""
INITS = ("docker-init", "tini", "catatonit")
"""Small init programs, called with ``-- PROGRAM ARGUMENTS``."""
NOT_ENTERED = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"}
OWN = {f"/dev/{name}" for name in ("console", "full", "null", "ptmx", "random", "tty", "urandom",
                                   "zero")}  # fmt: skip
FOLDERS = ("/usr/bin", "/usr/local/bin", "/usr/libexec/podman", "/usr/libexec/docker")


def nodes(wanted: tuple[DeviceSpec, ...]) -> list[dict[str, Any]]:
    """``linux.devices``. Raises :class:`Invalid` for what is no device,
    :class:`StartFailed` for what is not there."""
    return [_node(device) for device in wanted]


def _node(device: DeviceSpec) -> dict[str, Any]:
    what = f'error gathering device information while adding custom device "{device.source}"'
    try:
        found = os.stat(device.source)
    except OSError as error:
        raise StartFailed(f"{what}: {(error.strerror or '').lower()}", NOT_FOUND) from error
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise Invalid(f"{what}: not a device node")
    return {
        "path": device.target,
        "type": "c" if stat.S_ISCHR(found.st_mode) else "b",
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
    }


def host_devices() -> tuple[DeviceSpec, ...]:
    """What a privileged container gets: every device of the host but terminals and those that
    each container has of its own."""
    found = []
    for folder, folders, names in os.walk("/dev"):
        folders[:] = sorted(set(folders) - NOT_ENTERED)
        for name in sorted(names):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and path not in OWN:
                found.append(DeviceSpec(path, path, "rwm"))
    return tuple(found)


def rules(
    wanted: tuple[DeviceSpec, ...], nodes: list[dict[str, Any]], given: tuple[str, ...]
) -> list[dict[str, Any]]:
    """``linux.resources.devices`` that let those be opened, and what the caller's own rules say."""
    found: list[dict[str, Any]] = [
        {"allow": True, "access": device.access,
         **{name: node[name] for name in ("type", "major", "minor")}}
        for device, node in zip(wanted, nodes, strict=True)
    ]  # fmt: skip
    for text in given:
        kind, numbers, access = text.split()
        rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        for name, number in zip(("major", "minor"), numbers.split(":"), strict=True):
            if number != "*":
                rule[name] = int(number)
        found.append(rule)
    return found


def limits(wanted: tuple[DeviceLimit, ...]) -> dict[str, Any]:
    """Members of ``linux.resources.blockIO``. Raises :class:`Invalid` for what is no device."""
    found: dict[str, Any] = {}
    for limit in wanted:
        try:
            device = os.stat(limit.path)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise StartFailed(f"stat {limit.path}: {reason}", NOT_FOUND) from error
        if not stat.S_ISBLK(device.st_mode):
            raise Invalid(f"{limit.path}: not a block device")
        found.setdefault(limit.kind, []).append({
            "major": os.major(device.st_rdev), "minor": os.minor(device.st_rdev),
            "weight" if limit.kind == "weightDevice" else "rate": limit.value,
        })  # fmt: skip
    return found


def init_program() -> str:
    """A small init of this machine. Raises :class:`Unsupported` where there is none."""
    for name in INITS:
        for folder in FOLDERS:
            if os.access(path := f"{folder}/{name}", os.X_OK):
                return path
    raise Unsupported(f"--init: this machine has none of {', '.join(INITS)}; install tini")

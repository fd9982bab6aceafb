"""Turns what `create` has made into a file, and that and the kernel into a container's state."""

from __future__ import annotations

import os

from dockyard.base import jsontext
from dockyard.base.errors import Conflict, Invalid, NotFound
from dockyard.base.suppress import suppress
from dockyard.base.typed import NamedTuple
from dockyard.node.runtime.cgroups import group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-")
_LONGEST = 1024


class Container(NamedTuple):
    """A container that `create` has made."""

    id: str
    bundle: str
    pid: int
    pid_start: int
    """When the process started, in clock ticks since boot: a pid alone is used again."""
    created: str
    spec: dict[str, Any]
    systemd: bool = False
    """Whether its group is a scope that systemd made."""
    tree: str = ""
    """Where its root lies among the host's mounts; empty: in a mount namespace."""
    below: int = 0
    """How many mounts lay there before."""

    @property
    def cgroup(self) -> str:
        return str(self.spec["linux"]["cgroupsPath"])


def folder(root: str, container_id: str) -> str:
    """Where a container's state lies."""
    if (
        not 0 < len(container_id) <= _LONGEST
        or not _LETTERS.issuperset(container_id)
        or container_id in (".", "..")
    ):
        raise Invalid(f"invalid container ID format: {container_id[:80]!r}; letters, digits, _+-.")
    return os.path.join(root, container_id)


def gate_path(root: str, container_id: str) -> str:
    """The socket on which a created container waits for `start`."""
    return f"{folder(root, container_id)}/start.sock"


def reserve(root: str, container_id: str) -> None:
    """Take the id."""
    os.makedirs(root, 0o700, exist_ok=True)
    try:
        os.mkdir(folder(root, container_id), 0o700)
    except FileExistsError:
        raise Conflict(f"{container_id}: container with given ID already exists") from None


def save(root: str, container: Container) -> None:
    """Write the state."""
    path = f"{folder(root, container.id)}/state.json"
    with open(f"{path}.new", "w") as file:
        file.write(jsontext.dumps(container._asdict()))
    os.replace(f"{path}.new", path)


def load(root: str, container_id: str) -> Container:
    """Read it back."""
    try:
        with open(f"{folder(root, container_id)}/state.json") as file:
            return Container(**jsontext.loads(file.read()))
    except FileNotFoundError:
        raise NotFound(f"{container_id}: container does not exist") from None


def every(root: str) -> list[Container]:
    """All containers below a root."""
    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        with suppress(NotFound, Invalid):
            found.append(load(root, name))
    return found


def forget(root: str, container_id: str) -> None:
    """Remove the state."""
    place = folder(root, container_id)
    with suppress(FileNotFoundError):
        for name in os.listdir(place):
            os.unlink(f"{place}/{name}")
        os.rmdir(place)


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)); 0 where there is no such process, or only its shell."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def status(root: str, container: Container) -> str:
    """``creating``, ``created``, ``running``, ``paused`` or ``stopped``."""
    if not container.pid:
        return "creating"
    if start_time(container.pid) != container.pid_start:
        return "stopped"
    if os.path.exists(gate_path(root, container.id)):
        return "created"
    return "paused" if group.is_frozen(container.cgroup) else "running"


def describe(root: str, container: Container) -> dict[str, Any]:
    """What `state` prints (runtime.md of the runtime specification, and runc's additions)."""
    now, annotations = status(root, container), container.spec.get("annotations")
    return {
        "ociVersion": container.spec.get("ociVersion", "1.0.0"),
        "id": container.id,
        "pid": 0 if now == "stopped" else container.pid,
        "status": now,
        "bundle": container.bundle,
        "rootfs": container.spec["root"]["path"],
        "created": container.created,
        **({"annotations": annotations} if annotations else {}),
        "owner": _owner(folder(root, container.id)),
    }


def _owner(place: str) -> str:
    """The user who has made it, by name where there is one."""
    import pwd

    try:
        uid = os.stat(place).st_uid
        return pwd.getpwuid(uid).pw_name
    except FileNotFoundError:
        return ""
    except KeyError:
        return f"#{uid}"

"""Turns a few choices into the OCI runtime specification that Docker's defaults amount to. Pure.

Engine, builder and CRI start from what is returned here, so that ``RUN`` in a build is confined
as a container is.
"""

from __future__ import annotations

from dockyard.base.linux.capabilities import NUMBERS
from dockyard.base.oci.seccompdefault import default_profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip
EVERY_CAPABILITY = tuple(NUMBERS)

MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEVICES: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("c", None, None, "m"), ("b", None, None, "m"), ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"), ("c", 1, 8, "rwm"), ("c", 1, 9, "rwm"), ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, None, "rwm"),
)  # fmt: skip
"""Device nodes may be made, but only these may be opened."""

NEW_NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup")


def capability_set(add: list[str], drop: list[str], privileged: bool) -> list[str]:
    """The capabilities of a container: Docker's ``--cap-add`` and ``--cap-drop``, with ``ALL``.

    Names may lack the ``CAP_``. Raises ``ValueError`` for an unknown one.
    """
    if privileged:
        return list(EVERY_CAPABILITY)
    added, dropped = (
        {_full(name, flag) for name in names}
        for names, flag in ((add, "CapAdd"), (drop, "CapDrop"))
    )
    base = set(EVERY_CAPABILITY) if "ALL" in added else set(CAPABILITIES)
    if "ALL" in dropped:
        base = set()
    chosen = (base | (added - {"ALL"})) - (dropped - {"ALL"})
    return [name for name in EVERY_CAPABILITY if name in chosen]


def _full(name: str, flag: str) -> str:
    name = name.upper()
    if name == "ALL":
        return name
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in NUMBERS:
        raise ValueError(f'invalid {flag}: unknown capability: "{name}"')
    return name


def default_mounts(privileged: bool = False, shm_bytes: int = 64 * 1024 * 1024) -> list[Any]:
    """/proc, /dev and what lies on it, /sys, /sys/fs/cgroup."""
    writable = [] if privileged else ["ro"]
    hard = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", "proc", hard),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts",
               ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mount("/sys", "sysfs", "sysfs", [*hard, *writable]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*writable, *hard]),
        _mount("/dev/mqueue", "mqueue", "mqueue", hard),
        _mount("/dev/shm", "tmpfs", "shm", [*hard, "mode=1777", f"size={shm_bytes}"]),  # noqa: S108
    ]  # fmt: skip


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def default_devices(privileged: bool) -> list[dict[str, Any]]:
    """Device rules for the control group: nothing, then what every program may open."""
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in DEVICES:
        rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        if major is not None:
            rule["major"] = major
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return rules


def default_spec(
    *,
    args: list[str],
    env: list[str],
    cwd: str,
    root: str,
    cgroup: str,
    capabilities: list[str] | None = None,
    privileged: bool = False,
    unconfined: bool = False,
    namespaces: dict[str, str | None] | None = None,
) -> dict[str, Any]:
    """A whole configuration, as uid 0. ``unconfined``: without seccomp.

    ``namespaces`` maps a kind to a path to join; None makes each anew.
    """
    chosen = list(CAPABILITIES) if capabilities is None else capabilities
    joined: dict[str, str | None] = (
        dict.fromkeys(NEW_NAMESPACES) if namespaces is None else namespaces
    )
    linux: dict[str, Any] = {
        "namespaces": [
            {"type": kind, **({"path": path} if path else {})} for kind, path in joined.items()
        ],
        "cgroupsPath": cgroup,
        "resources": {"devices": default_devices(privileged)},
        "maskedPaths": [] if privileged else list(MASKED),
        "readonlyPaths": [] if privileged else list(READONLY),
    }
    if not privileged and not unconfined:
        linux["seccomp"] = default_profile(chosen)
    return {
        "ociVersion": "1.2.0",
        "process": {
            "args": args,
            "env": env,
            "cwd": cwd,
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "capabilities": {kind: chosen for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": False,
        },
        "root": {"path": root},
        "mounts": default_mounts(privileged),
        "linux": linux,
    }

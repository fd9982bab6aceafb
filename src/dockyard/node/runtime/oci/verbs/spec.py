"""`spec`: writes a config.json to begin with."""

from __future__ import annotations

import json
import os
from typing import Any

from dockyard.base.errors import Conflict
from dockyard.base.linux import cgroupfs
from dockyard.base.oci.defaultspec import PATH, READONLY
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import PROGRAM, SPEC_VERSION, Globals, Verb

CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
)  # fmt: skip
MOUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),  # noqa: S108
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
)


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Write it, unless there is one."""
    path = os.path.join(values["bundle"] or ".", "config.json")
    text = json.dumps(template(rootless=values["rootless"]), indent="\t")
    try:
        with open(path, "x") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise Conflict(f"File {path} exists. Remove it first") from None
    return 0


def template(*, rootless: bool) -> dict[str, Any]:
    """A shell on a terminal in a root folder `rootfs`. Pure but for the caller's ids
    and the machine's cgroups."""
    namespaces = ["pid", "network", "ipc", "uts", "mount"]
    if cgroupfs.layout().pure:  # of version 1 a container sees its own groups without one
        namespaces.append("cgroup")
    linux: dict[str, Any] = {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}
    mounts = list(MOUNTS)
    if rootless:
        namespaces = [name for name in namespaces if name != "network"] + ["user"]
        linux = {
            "uidMappings": [{"containerID": 0, "hostID": os.geteuid(), "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": os.getegid(), "size": 1}],
        }
        mounts[5] = ("/sys", "none", "/sys", "rbind nosuid noexec nodev ro")
        mounts[2] = (*MOUNTS[2][:3], MOUNTS[2][3].removesuffix(" gid=5"))
    linux |= {
        "namespaces": [{"type": name} for name in namespaces],
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READONLY),
    }
    return {
        "ociVersion": SPEC_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": PROGRAM,
        "mounts": [_mount(*mount) for mount in mounts],
        "linux": linux,
    }


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    words = options.split()
    found = {"destination": destination, "type": kind, "source": source}
    return {**found, **({"options": words} if words else {})}


VERB = Verb(
    summary="create a new specification file",
    usage="",
    act=act,
    text="",
    description=f"""Writes a "config.json" to begin with: a shell on a terminal, in the root
filesystem that is expected in the folder "rootfs" beside it. Change it, then:

    # {PROGRAM} run NAME

With --rootless it is for a container of an ordinary user: a user namespace in which that user is
root, and the host's network.""",
    flags=(
        Flag(("bundle", "b"), "path to the folder it is written to (default: where you are)"),
        Flag(("rootless",), "for a container of an ordinary user", "switch", False),
    ),
    least=0,
    most=0,
)

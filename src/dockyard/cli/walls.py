"""Turns ``--without pid,net,...`` into a configuration that lacks these walls. Pure.

A teacher's flag: what a wall did is seen best where it is missing. Each is left out in the words
that Docker has for it, so that `inspect` and `exec` know of it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Conflict, Denied, Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.node.engine.config import ContainerConfig

WALLS = {
    "pid": "sees the machine's processes",
    "net": "has the machine's network",
    "mnt": "its mounts lie among the machine's, for all to see; its root is a chroot, and root "
    "in it knows a way out of that",
    "ipc": "shares the machine's message queues and shared memory",
    "uts": "has the machine's host name, and may change it with the right to",
    "cgroup": "sees where its control groups are among the machine's",
    "seccomp": "may make every system call",
    "caps": "root in it has every right of the machine's root",
    "devices": "may open every device that it finds or makes, the machine's disks among them",
    "masks": "sees what /proc and /sys hide of the machine, and may write to it",
}
"""What can be left out, and what the container then does."""
EVERY_DEVICE = "a *:* rwm"
ALIASES = {"network": "net", "mount": "mnt", "capabilities": "caps"}
NEVER = {
    "user": "a container has no user namespace unless it is asked for one",
    "time": "a container has no time namespace unless it is asked for one",
}
"""What can't, and why."""


MOUNTED = {"pid": "/proc", "net": "/sys", "ipc": "/dev/mqueue"}
"""Walls with a file system that belongs to them: proc(5), sysfs(5), mq_overview(7)."""


def leave_out(config: ContainerConfig, words: Iterable[str], *, root: bool) -> ContainerConfig:
    """The configuration without these walls. Raises :class:`Invalid` for what cannot be left out,
    :class:`Conflict` where another flag wants that very wall, :class:`Denied` for what only root
    can leave out."""
    for wall in parse(words):
        if not root and (wall in MOUNTED or wall == "mnt"):
            what = f"{MOUNTED[wall]} of" if wall in MOUNTED else "in"
            raise Denied(f"--without {wall}: not for an ordinary user: the kernel lets them mount "
                         f"{what} a namespace of their own only; use sudo")  # fmt: skip
        _refuse_conflict(config, wall)
        config = _without(config, wall)
    return config


def parse(words: Iterable[str]) -> list[str]:
    """``pid,net`` as names of :data:`WALLS`, each once."""
    found: dict[str, None] = {}
    for name in (name for word in words for name in word.split(",")):
        wall = ALIASES.get(name, name)
        if wall in NEVER:
            raise Invalid(f"--without {name}: cannot be left out: {NEVER[wall]}")
        if wall not in WALLS:
            raise Invalid(f"--without {name!r}: unknown; walls that can be left out: "
                          f"{', '.join(WALLS)}")  # fmt: skip
        found[wall] = None
    return list(found)


def told(words: Iterable[str], form: str) -> list[str]:
    """What the missing walls mean: lines for people, or JSON."""
    missing = parse(words)
    if form == "json":
        import json

        return [json.dumps({"without": wall, "means": WALLS[wall]}) for wall in missing]
    return [f"without {wall}: {WALLS[wall]}" for wall in missing]


def _refuse_conflict(config: ContainerConfig, wall: str) -> None:
    asked = {
        "net": config.network not in ("bridge", "host") or config.ports or config.publish_all,
        "uts": config.hostname,
        "mnt": config.runtime or config.system,
        "caps": config.cap_drop,
        "seccomp": any(o.startswith("seccomp") for o in config.security_opt),
    }
    flags = {"net": "--network or --publish", "uts": "--hostname", "caps": "--cap-drop",
             "mnt": "--runtime or --system", "seccomp": "--security-opt seccomp"}  # fmt: skip
    if asked.get(wall):
        raise Conflict(f"conflicting options: --without {wall} and {flags[wall]}")
    if dict(config.join).get(wall, "host") != "host":
        raise Conflict(f"conflicting options: --without {wall} and --{wall}")


def _without(config: ContainerConfig, wall: str) -> ContainerConfig:
    if wall == "net":
        return config._replace(network="host")
    if wall == "caps":
        return config._replace(cap_add=("ALL",))
    if wall == "seccomp":
        return config._replace(security_opt=(*config.security_opt, "seccomp=unconfined"))
    if wall == "devices":
        return config._replace(device_rules=(*config.device_rules, EVERY_DEVICE))
    if wall == "masks":
        return config._replace(security_opt=(*config.security_opt, "systempaths=unconfined"))
    kind = "mount" if wall == "mnt" else wall
    return config._replace(join=tuple({**dict(config.join), kind: "host"}.items()))

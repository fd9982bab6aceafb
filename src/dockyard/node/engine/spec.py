"""Turns a container's effective configuration into an OCI runtime specification. Pure."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.oci import defaultspec
from dockyard.base.oci.users import User
from dockyard.base.typed import NamedTuple
from dockyard.interfaces.ociruntime import CONSOLE_ANNOTATION, PAUSE_ANNOTATION
from dockyard.node.engine.config import ContainerConfig, MountSpec, Resources
from dockyard.node.engine.effective import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


INIT = "/sbin/docker-init"
"""Where Docker has it."""
SHM = "/dev/shm"  # noqa: S108 - a path in the container
HOST_SHM = {"destination": SHM, "type": "bind", "source": SHM, "options": ["rbind", "rprivate"]}
UNLIMITED = 2**64 - 1
"""RLIM_INFINITY of setrlimit(2)."""


class Place(NamedTuple):
    """Where a container's parts are on this machine."""

    root: str
    cgroup: str
    binds: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(source, target, options): volumes resolved, and the files of /etc that are ours."""
    namespaces: tuple[tuple[str, str], ...]
    """(kind, path) of those that are joined."""
    delegated: bool = False
    """Whether the container may write to its own part of the cgroup tree."""
    devices: tuple[dict[str, Any], ...] = ()
    """Nodes of the host's devices, as ``linux.devices`` has them."""
    device_rules: tuple[dict[str, Any], ...] = ()
    init: str = ""
    """A small init of the host, which starts the program."""


def environment(
    config: ContainerConfig, hostname: str, home: str, *, terminal: bool = False
) -> list[str]:
    """PATH, HOSTNAME, TERM and HOME where nobody set them, and what was set.

    ``NAME`` without a value removes a variable.
    """
    values: dict[str, str] = {}
    for entry in (defaultspec.PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if terminal else []),
                  *config.env):  # fmt: skip
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home)
    return [f"{name}={value}" for name, value in values.items()]


def build_spec(config: ContainerConfig, user: User, hostname: str, place: Place) -> dict[str, Any]:
    """The whole configuration of one container; ``config`` is an effective one."""
    security = _security(config.security_opt)
    capabilities = capabilities_of(config)
    spec = defaultspec.default_spec(
        args=[*((INIT, "--") if place.init else ()), *program(config)],
        env=environment(config, hostname, user.home, terminal=config.terminal),
        cwd=config.workdir or "/",
        root=place.root,
        cgroup=place.cgroup,
        capabilities=capabilities,
        privileged=config.privileged,
        unconfined=security["seccomp"] == "unconfined",
        namespaces=_namespaces(config, place),
    )
    if config.no_shm:
        spec["mounts"] = [each for each in spec["mounts"] if each["destination"] != SHM]
    elif dict(config.join).get("ipc") == "host":
        spec["mounts"] = [HOST_SHM if each["destination"] == SHM else each
                          for each in spec["mounts"]]  # fmt: skip
    if config.shm_bytes:
        spec["mounts"] = [_resized(mount, config.shm_bytes) for mount in spec["mounts"]]
    if place.delegated:
        spec["mounts"] = [_writable(mount) for mount in spec["mounts"]]
    spec["process"].update(confinement(config, user, capabilities))
    spec["process"].update(console(config.terminal, config.size))
    spec["root"]["readonly"] = config.read_only
    if "uts" in _namespaces(config, place) and "uts" not in dict(place.namespaces):
        spec["hostname"] = hostname
        if config.domainname:
            spec["domainname"] = config.domainname
    spec["mounts"] += [
        {"destination": target, "type": "bind", "source": source, "options": list(options)}
        for source, target, options in place.binds
    ]
    if place.init:
        spec["mounts"].append({"destination": INIT, "type": "bind", "source": place.init,
                               "options": ["bind", "ro"]})  # fmt: skip
    spec["mounts"] += [_tmpfs(mount) for mount in config.mounts if mount.kind == "tmpfs"]
    spec["mounts"] = _later_wins(spec["mounts"])
    spec["linux"]["resources"].update(resources(config.resources))
    spec["linux"]["resources"]["devices"] += place.device_rules
    spec["linux"]["devices"] = list(place.devices)
    spec["annotations"] = dict(config.annotations)
    spec["linux"]["sysctl"] = dict(config.sysctls)
    if security["seccomp"].startswith("{") and not config.privileged:
        from dockyard.node.engine import seccompprofile as profiles

        wanted = profiles.parse(security["seccomp"])
        machine = profiles.this_machine()
        spec["linux"]["seccomp"] = profiles.convert(wanted, capabilities, machine)
    if security["systempaths"]:
        spec["linux"].update(maskedPaths=[], readonlyPaths=[])
    if config.system:
        spec["annotations"][CONSOLE_ANNOTATION] = "true"
    if config.pause:
        spec["annotations"][PAUSE_ANNOTATION] = "true"
        spec["mounts"] = []
    return spec


def check(config: ContainerConfig) -> None:
    """Refuse what no specification can say. Raises :class:`Invalid`."""
    _security(config.security_opt)
    capabilities_of(config)
    if config.workdir[:1] not in ("", "/"):
        raise Invalid(
            f"the working directory '{config.workdir}' is invalid, it needs to be an absolute path"
        )


def capabilities_of(config: ContainerConfig, *, privileged: bool = False) -> list[str]:
    """The bounding set. Raises :class:`Invalid` for a capability that Linux does not have."""
    try:
        return defaultspec.capability_set(
            list(config.cap_add), list(config.cap_drop), config.privileged or privileged
        )
    except ValueError as error:
        raise Invalid(str(error)) from error


def confinement(config: ContainerConfig, user: User, capabilities: list[str]) -> dict[str, Any]:
    """The members of a ``process`` that say what it may do: alike for ``run`` and ``exec``."""
    # a user who is not root starts without rights
    held = [] if user.uid else capabilities
    profile = _security(config.security_opt)["apparmor"]
    return {
        "user": {
            "uid": user.uid,
            "gid": user.gid,
            "additionalGids": sorted({user.gid, *user.groups, *config.groups}),
        },
        "capabilities": {"bounding": capabilities, "effective": held, "permitted": held},
        "noNewPrivileges": _security(config.security_opt)["no-new-privileges"] == "true",
        "oomScoreAdj": config.oom_score_adj,
        **({"apparmorProfile": profile} if profile not in ("", "unconfined") else {}),
        "rlimits": [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": _limit(limit.soft),
             "hard": _limit(limit.hard)}
            for limit in config.ulimits
        ],
    }  # fmt: skip


def _limit(number: int) -> int:
    return UNLIMITED if number == -1 else number


def console(terminal: bool, size: tuple[int, int] | None) -> dict[str, Any]:
    """The members of a ``process`` that say whether it has a terminal, and how large."""
    sized = {"consoleSize": {"height": size[0], "width": size[1]}} if size else {}
    return {"terminal": terminal, **sized}


def _namespaces(config: ContainerConfig, place: Place) -> dict[str, str | None]:
    namespaces: dict[str, str | None] = dict.fromkeys(defaultspec.NEW_NAMESPACES)
    if config.network == "host":
        del namespaces["network"]
    namespaces.update(place.namespaces)
    for kind, other in config.join:
        if other == "host":
            namespaces.pop(kind, None)
    return namespaces


def security_option(text: str) -> tuple[str, str]:
    """``NAME=VALUE``, or the older ``NAME:VALUE``; a name alone."""
    at = min((found for found in (text.find("="), text.find(":")) if found >= 0), default=len(text))
    return text[:at], text[at + 1 :]


def _security(options: tuple[str, ...]) -> dict[str, str]:
    found = {"seccomp": "", "no-new-privileges": "", "systempaths": "", "apparmor": "",
             "label": ""}  # fmt: skip
    for option in options:
        name, value = security_option(option)
        if name not in found:
            raise Invalid(f"invalid --security-opt: {option!r}: one of {', '.join(found)}")
        if name == "seccomp" and value.startswith("{"):
            from dockyard.node.engine import seccompprofile

            seccompprofile.parse(value)
        elif name == "seccomp" and value not in ("unconfined", "builtin"):
            raise Invalid(f"invalid --security-opt: {option[:80]!r}: unconfined, builtin or the "
                          "JSON of a profile")  # fmt: skip
        if name == "systempaths" and value != "unconfined":
            raise Invalid(f"invalid --security-opt: {option!r}: systempaths=unconfined")
        if name == "no-new-privileges" and value not in ("", "true", "false"):
            raise Invalid(f'invalid --security-opt: "{option}": true or false')
        if name == "label" and value != "disable":
            raise Invalid(f"invalid --security-opt: {option!r}: label=disable")
        found[name] = value or "true"
    return found


def _resized(mount: dict[str, Any], size: int) -> dict[str, Any]:
    if mount["destination"] != "/dev/shm":  # noqa: S108 - a path in the container
        return mount
    kept = [option for option in mount["options"] if not option.startswith("size=")]
    return {**mount, "options": [*kept, f"size={size}"]}


def _writable(mount: dict[str, Any]) -> dict[str, Any]:
    if mount["type"] != "cgroup":
        return mount
    return {**mount, "options": [option for option in mount["options"] if option != "ro"]}


def _tmpfs(mount: MountSpec) -> dict[str, Any]:
    """Docker's defaults, which an ``exec``, ``suid`` or ``dev`` takes back."""
    options = ["noexec", "nosuid", "nodev", *mount.options, *(["ro"] if mount.read_only else [])]
    return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}


def _later_wins(mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A caller's mount replaces a default one on the same target; outer ones come first."""
    by_target = {mount["destination"].rstrip("/") or "/": mount for mount in mounts}
    return sorted(by_target.values(), key=lambda mount: mount["destination"].count("/"))


def resources(wanted: Resources) -> dict[str, Any]:
    """Limits as ``linux.resources`` has them."""
    memory = {"limit": wanted.memory, "swap": wanted.memory_swap,
              "reservation": wanted.memory_reservation}  # fmt: skip
    quota, period = wanted.cpu_quota, wanted.cpu_period
    if wanted.nano_cpus:
        period = 100_000
        quota = max(1000, wanted.nano_cpus * period // 1_000_000_000)
    if wanted.swappiness >= 0:
        memory["swappiness"] = wanted.swappiness
    if wanted.oom_kill_disable:
        memory["disableOOMKiller"] = True
    cpu = {"shares": wanted.cpu_shares, "quota": quota, "period": period, "cpus": wanted.cpuset,
           "mems": wanted.cpuset_mems, "realtimePeriod": wanted.cpu_rt_period,
           "realtimeRuntime": wanted.cpu_rt_runtime}  # fmt: skip
    found: dict[str, Any] = {}
    for name, values in (("memory", memory), ("cpu", cpu)):
        if kept := {key: value for key, value in values.items() if value or key == "swappiness"}:
            found[name] = kept
    if wanted.pids:
        found["pids"] = {"limit": wanted.pids}
    if wanted.blkio_weight:
        found["blockIO"] = {"weight": wanted.blkio_weight}
    return found

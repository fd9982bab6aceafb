"""Turns a container's configuration and its image's into an OCI runtime specification. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci import defaultspec
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.users import User
from dockyard.interfaces.ociruntime import PAUSE_ANNOTATION
from dockyard.node.engine.config import ContainerConfig, Resources

SHORT = 12
"""Digits of an id that people see."""


class Place(NamedTuple):
    """Where a container's parts are on this machine."""

    root: str
    cgroup: str
    binds: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(source, target, options): volumes resolved, and the files of /etc that are ours."""
    namespaces: tuple[tuple[str, str], ...]
    """(kind, path) of those that are joined."""


def program(config: ContainerConfig, image: ImageConfig | None) -> tuple[str, ...]:
    """Entrypoint and command, as Docker merges them: a new entrypoint drops the image's command."""
    if config.entrypoint is not None:
        args = (*config.entrypoint, *config.command)
    else:
        entrypoint = image.entrypoint if image else ()
        args = (*entrypoint, *(config.command or (image.cmd if image else ())))
    if not args and not config.pause:
        raise Invalid("no command specified: neither the image nor the command line names one")
    return args


def environment(
    config: ContainerConfig, image: ImageConfig | None, hostname: str, home: str
) -> list[str]:
    """The image's variables, under the caller's; PATH, HOSTNAME and HOME where nobody set them.

    ``NAME`` without a value removes the image's variable.
    """
    values: dict[str, str] = {}
    for entry in (defaultspec.PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if config.terminal
                  else []), *(image.env if image else ()), *config.env):  # fmt: skip
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home)
    return [f"{name}={value}" for name, value in values.items()]


def build_spec(
    config: ContainerConfig,
    image: ImageConfig | None,
    user: User,
    container_id: str,
    place: Place,
) -> dict[str, Any]:
    """The whole configuration of one container."""
    hostname = config.hostname or container_id[:SHORT]
    try:
        capabilities = defaultspec.capability_set(
            list(config.cap_add), list(config.cap_drop), config.privileged
        )
    except ValueError as error:
        raise Invalid(f"invalid capability: {error}") from error
    security = _security(config.security_opt)
    spec = defaultspec.default_spec(
        args=list(program(config, image)),
        env=environment(config, image, hostname, user.home),
        cwd=config.workdir or (image.working_dir if image else "") or "/",
        root=place.root,
        cgroup=place.cgroup,
        capabilities=capabilities,
        privileged=config.privileged,
        unconfined=security["seccomp"] == "unconfined",
        namespaces=_namespaces(config, place),
    )
    process = spec["process"]
    process["terminal"] = config.terminal
    if config.size:
        process["consoleSize"] = {"height": config.size[0], "width": config.size[1]}
    process["user"] = {
        "uid": user.uid,
        "gid": user.gid,
        "additionalGids": sorted({*user.groups, *config.groups}),
    }
    if user.uid:  # a user who is not root starts without rights, and may get none by an exec
        process["capabilities"] = {"bounding": capabilities, "effective": [], "permitted": []}
    process["noNewPrivileges"] = security["no-new-privileges"] == "true"
    process["oomScoreAdj"] = config.oom_score_adj
    spec["root"]["readonly"] = config.read_only
    if "uts" in _namespaces(config, place) and "uts" not in dict(place.namespaces):
        spec["hostname"] = hostname
    spec["mounts"] += [
        {"destination": target, "type": "bind", "source": source, "options": list(options)}
        for source, target, options in place.binds
    ]
    spec["mounts"] += [_tmpfs(mount.target, mount.options) for mount in config.mounts
                       if mount.kind == "tmpfs"]  # fmt: skip
    spec["mounts"] = _later_wins(spec["mounts"])
    spec["linux"]["resources"].update(resources(config.resources))
    spec["linux"]["sysctl"] = dict(config.sysctls)
    if config.pause:
        spec["annotations"] = {PAUSE_ANNOTATION: "true"}
        spec["mounts"] = []
    return spec


def _namespaces(config: ContainerConfig, place: Place) -> dict[str, str | None]:
    namespaces: dict[str, str | None] = dict.fromkeys(defaultspec.NEW_NAMESPACES)
    if config.network == "host":
        del namespaces["network"]
    namespaces.update(place.namespaces)
    for kind, other in config.join:
        if other == "host":
            namespaces.pop(kind, None)
    return namespaces


def _security(options: tuple[str, ...]) -> dict[str, str]:
    found = {"seccomp": "", "no-new-privileges": ""}
    for option in options:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name not in found:
            raise Invalid(f"invalid --security-opt: {option!r}: seccomp or no-new-privileges")
        if name == "seccomp" and value != "unconfined":
            raise Invalid(f"invalid --security-opt: {option!r}: profiles are not implemented")
        found[name] = value or "true"
    return found


def _tmpfs(target: str, options: tuple[str, ...]) -> dict[str, Any]:
    given = list(options) or ["noexec", "nosuid", "nodev"]
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": given}


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
    cpu = {"shares": wanted.cpu_shares, "quota": quota, "period": period, "cpus": wanted.cpuset}
    found: dict[str, Any] = {}
    for name, values in (("memory", memory), ("cpu", cpu)):
        if kept := {key: value for key, value in values.items() if value}:
            found[name] = kept
    if wanted.pids:
        found["pids"] = {"limit": wanted.pids}
    return found

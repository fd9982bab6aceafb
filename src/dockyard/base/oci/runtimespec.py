"""Turns config.json of the OCI runtime specification (1.2) into checked values.

The only place that looks at the raw document: whatever a runtime does comes from what is returned
here. Bounded before anything is done: a document that breaks a rule raises :class:`Invalid` naming
the field. Fields that this release does not implement are refused, not ignored.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.linux import capabilities
from dockyard.base.oci.fields import absolute, boolean, integer, items, mapping, text, texts
from dockyard.base.oci.mountoptions import MountOptions, parse_options

LAST_ID = 2**32 - 2
"""The highest uid or gid; 2**32-1 means "no change" to the kernel."""
NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup")


class Process(NamedTuple):
    """What is executed, as whom, with which rights."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    terminal: bool
    size: tuple[int, int] | None
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int | None
    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int
    rlimits: tuple[tuple[str, int, int], ...]
    no_new_privileges: bool
    oom_score_adj: int | None


class Mount(NamedTuple):
    """One mount inside the container."""

    destination: str
    kind: str
    source: str
    options: MountOptions


class Device(NamedTuple):
    """A device node to make."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


class Spec(NamedTuple):
    """A container, checked."""

    process: Process
    root: str
    readonly_root: bool
    hostname: str
    domainname: str
    mounts: tuple[Mount, ...]
    namespaces: dict[str, str | None]
    """Kind -> path to join, or None for a new one. What is missing is shared with the host."""
    devices: tuple[Device, ...]
    masked: tuple[str, ...]
    readonly: tuple[str, ...]
    sysctl: dict[str, str]
    seccomp: dict[str, Any] | None
    cgroup: str
    resources: dict[str, Any]
    pause: bool
    console: bool
    """The terminal is a console: init does not take it."""


def parse(document: Any) -> Spec:
    """The container that a config.json describes."""
    spec = mapping(document, "config")
    if "windows" in spec or "vm" in spec or "solaris" in spec or "zos" in spec:
        raise Unsupported("config: platform: only linux containers run here")
    linux = mapping(spec.get("linux", {}), "linux")
    for field in ("uidMappings", "gidMappings", "intelRdt", "mountLabel", "timeOffsets"):
        if linux.get(field):
            raise Unsupported(f"config: linux.{field}: not implemented")
    if spec.get("hooks"):
        raise Unsupported("config: hooks: not implemented")
    annotations = mapping(spec.get("annotations", {}), "annotations")
    root = mapping(spec.get("root", {}), "root")
    pause = annotations.get("dockyard.io/pause") == "true"
    namespaces = _namespaces(linux)
    return Spec(
        process=parse_process(spec.get("process", {}), pause=pause),
        root=text(root, "path", "root"),
        readonly_root=boolean(root, "readonly", "root"),
        hostname=text(spec, "hostname", "config", default="", longest=64),
        domainname=text(spec, "domainname", "config", default="", longest=64),
        mounts=tuple(
            _mount(item, f"mounts[{i}]") for i, item in enumerate(items(spec, "mounts", 4096))
        ),
        namespaces=namespaces,
        devices=tuple(
            _device(item, f"linux.devices[{i}]")
            for i, item in enumerate(items(linux, "devices", 1024))
        ),
        masked=tuple(absolute(p, "linux.maskedPaths") for p in texts(linux, "maskedPaths", 1024)),
        readonly=tuple(
            absolute(p, "linux.readonlyPaths") for p in texts(linux, "readonlyPaths", 1024)
        ),
        sysctl=_sysctl(mapping(linux.get("sysctl", {}), "linux.sysctl"), namespaces),
        seccomp=mapping(linux["seccomp"], "linux.seccomp") if linux.get("seccomp") else None,
        cgroup=_cgroup(text(linux, "cgroupsPath", "linux", default="")),
        resources=mapping(linux.get("resources", {}), "linux.resources"),
        pause=pause,
        console=annotations.get("dockyard.io/console") == "true",
    )


def parse_process(document: Any, *, pause: bool = False) -> Process:
    """A ``process`` object: of a container, or of a command executed in one."""
    process = mapping(document, "process")
    for field in ("apparmorProfile", "selinuxLabel", "ioPriority", "scheduler", "execCPUAffinity"):
        if process.get(field):
            raise Unsupported(f"config: process.{field}: not implemented")
    args = texts(process, "args", 65536)
    if not args and not pause:
        raise Invalid("config: process.args: empty; name a program")
    user = mapping(process.get("user", {}), "process.user")
    sets = mapping(process.get("capabilities", {}), "process.capabilities")
    masks = {kind: _capabilities(sets, kind) for kind in
             ("bounding", "effective", "permitted", "inheritable", "ambient")}  # fmt: skip
    size = process.get("consoleSize")
    umask = user.get("umask")
    return Process(
        args=tuple(args),
        env=tuple(_environment(texts(process, "env", 65536))),
        cwd=absolute(text(process, "cwd", "process", default="/"), "process.cwd"),
        terminal=boolean(process, "terminal", "process"),
        size=_size(size) if size else None,
        uid=integer(user, "uid", "process.user", 0, LAST_ID),
        gid=integer(user, "gid", "process.user", 0, LAST_ID),
        groups=tuple(
            integer({"gid": gid}, "gid", "process.user.additionalGids", 0, LAST_ID)
            for gid in items(user, "additionalGids", 65536)
        ),
        umask=None if umask is None else integer(user, "umask", "process.user", 0, 0o777),
        rlimits=tuple(
            _rlimit(item, f"process.rlimits[{i}]")
            for i, item in enumerate(items(process, "rlimits", 64))
        ),
        no_new_privileges=boolean(process, "noNewPrivileges", "process"),
        oom_score_adj=(
            None
            if process.get("oomScoreAdj") is None
            else integer(process, "oomScoreAdj", "process", -1000, 1000)
        ),
        **masks,
    )


def _namespaces(linux: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for index, item in enumerate(items(linux, "namespaces", 16)):
        where = f"linux.namespaces[{index}]"
        entry = mapping(item, where)
        kind = text(entry, "type", where)
        if kind in ("user", "time"):
            raise Unsupported(f"config: {where}: {kind} namespaces: not implemented")
        if kind not in NAMESPACES:
            raise Invalid(f"config: {where}.type: {kind!r}; one of {', '.join(NAMESPACES)}")
        if kind in found:
            raise Invalid(f"config: {where}.type: {kind} stands there twice")
        path = text(entry, "path", where, default="")
        found[kind] = absolute(path, f"{where}.path") if path else None
    if "mount" not in found:
        raise Unsupported("config: linux.namespaces: a container without a mount namespace")
    return found


def _capabilities(sets: dict[str, Any], kind: str) -> int:
    try:
        return capabilities.mask(texts(sets, kind, 256))
    except ValueError as error:
        raise Invalid(f"config: process.capabilities.{kind}: {error}") from error


def _environment(entries: list[str]) -> list[str]:
    for entry in entries:
        if "=" not in entry or entry.startswith("="):
            raise Invalid(f"config: process.env: {entry[:80]!r}: not NAME=value")
    return entries


def _size(value: Any) -> tuple[int, int]:
    size = mapping(value, "process.consoleSize")
    where = "process.consoleSize"
    return integer(size, "height", where, 0, 65535), integer(size, "width", where, 0, 65535)


def _rlimit(item: Any, where: str) -> tuple[str, int, int]:
    limit = mapping(item, where)
    soft = integer(limit, "soft", where, 0, 2**64 - 1)
    hard = integer(limit, "hard", where, 0, 2**64 - 1)
    if soft > hard:
        raise Invalid(f"config: {where}: soft {soft} is above hard {hard}")
    return text(limit, "type", where), soft, hard


def _mount(item: Any, where: str) -> Mount:
    mount = mapping(item, where)
    return Mount(
        destination=absolute(text(mount, "destination", where), f"{where}.destination"),
        kind=text(mount, "type", where, default=""),
        source=text(mount, "source", where, default=""),
        options=parse_options(texts(mount, "options", 256), where),
    )


def _device(item: Any, where: str) -> Device:
    device = mapping(item, where)
    kind = text(device, "type", where)
    if kind not in ("c", "u", "b", "p"):
        raise Invalid(f"config: {where}.type: {kind!r}; one of c, u, b, p")
    return Device(
        path=absolute(text(device, "path", where), f"{where}.path"),
        kind=kind,
        major=integer(device, "major", where, 0, 2**32 - 1),
        minor=integer(device, "minor", where, 0, 2**32 - 1),
        mode=integer(device, "fileMode", where, 0, 0o7777, default=0o666),
        uid=integer(device, "uid", where, 0, LAST_ID),
        gid=integer(device, "gid", where, 0, LAST_ID),
    )


IPC_SYSCTLS = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
               "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced")  # fmt: skip


def _sysctl(values: dict[str, Any], namespaces: dict[str, str | None]) -> dict[str, str]:
    """Only what a namespace of the container's own has: never the host's."""
    for name, value in values.items():
        own = (name.startswith("net.") and "network" in namespaces) or (
            (name in IPC_SYSCTLS or name.startswith("fs.mqueue.")) and "ipc" in namespaces
        )
        if not own:
            raise Invalid(
                f"config: linux.sysctl: {name!r}: not of a namespace that this container has"
            )
        if not isinstance(value, str) or not value.isprintable() or "/" in name or ".." in name:
            raise Invalid(
                f"config: linux.sysctl: {name!r}: the value {value!r} is not a plain line"
            )
    return dict(values)


def _cgroup(path: str) -> str:
    parts = path.strip("/").split("/") if path else []
    if any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"config: linux.cgroupsPath: {path!r}: climbs or is empty")
    return "/".join(parts)

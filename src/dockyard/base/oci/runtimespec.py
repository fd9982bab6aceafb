"""Turns config.json of the OCI runtime specification (1.2) into checked values.

The only place that looks at the raw document: whatever a runtime does comes from what is returned
here. Bounded before anything is done: a document that breaks a rule raises :class:`Invalid` naming
the field. What a kernel may lack is refused by whoever applies it; nothing is ignored. Rare members
have modules of their own, which only a document that has them loads.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.linux import capabilities
from dockyard.base.oci.fields import absolute, boolean, integer, items, mapping, text, texts
from dockyard.base.oci.idmaps import IdMap, covers, parse_map
from dockyard.base.oci.mountoptions import MountOptions, parse_options
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


LAST_ID = 2**32 - 2
"""The highest uid or gid; 2**32-1 means "no change" to the kernel."""
NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup", "user", "time")
PROPAGATIONS = ("shared", "slave", "private", "unbindable")
CLOCKS = ("monotonic", "boottime")


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
    scheduler: Any = None
    """A :class:`..scheduling.Scheduler`."""
    io_priority: tuple[int, int] | None = None
    """Class and level: ioprio_set(2)."""
    affinity: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Of a command in a container: processors before it joins the control group, and after."""
    apparmor: str = ""
    selinux: str = ""


class Mount(NamedTuple):
    """One mount inside the container."""

    destination: str
    kind: str
    source: str
    options: MountOptions
    uids: IdMap = ()
    gids: IdMap = ()
    """Of an idmapped mount; empty: the container's own user namespace's."""


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
    console: bool = False
    """The terminal is a console: init does not take it."""
    uids: IdMap = ()
    gids: IdMap = ()
    """Of a new user namespace."""
    offsets: dict[str, tuple[int, int]] = {}
    """Clock -> seconds and nanoseconds, for a new time namespace."""
    propagation: str = ""
    hooks: dict[str, tuple[Any, ...]] = {}
    """:data:`..hooks.Hooks`."""
    personality: int | None = None
    memory_policy: Any = None
    """A :class:`..scheduling.MemoryPolicy`."""
    mount_label: str = ""
    intel_rdt: Any = None
    """An :class:`..intelrdt.IntelRdt`."""
    version: str = ""
    annotations: dict[str, str] = {}


def parse(document: Any) -> Spec:
    """The container that a config.json describes."""
    spec = mapping(document, "config")
    for platform in ("windows", "vm", "solaris", "zos", "freebsd"):
        if platform in spec:
            raise Unsupported(f"config: {platform}: only linux containers run here")
    linux = mapping(spec.get("linux", {}), "linux")
    if linux.get("netDevices"):
        raise Unsupported("config: linux.netDevices: of version 1.3; this is a runtime of 1.2")
    annotations = _annotations(spec.get("annotations") or {})
    root = mapping(spec.get("root", {}), "root")
    pause = annotations.get("dockyard.io/pause") == "true"
    namespaces = _namespaces(linux)
    uids, gids = _user_namespace(linux, namespaces)
    return Spec(
        process=parse_process(spec.get("process", {}), pause=pause),
        root=text(root, "path", "root"),
        readonly_root=boolean(root, "readonly", "root"),
        hostname=_name(spec, "hostname", namespaces),
        domainname=_name(spec, "domainname", namespaces),
        mounts=tuple(
            _mount(item, f"mounts[{i}]", bool(uids) or namespaces.get("user") is not None)
            for i, item in enumerate(items(spec, "mounts", 4096))
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
        uids=uids,
        gids=gids,
        offsets=_offsets(linux, namespaces),
        propagation=_propagation(text(linux, "rootfsPropagation", "linux", default="")),
        mount_label=text(linux, "mountLabel", "linux", default="", longest=4096),
        version=text(spec, "ociVersion", "config", default="", longest=64),
        annotations=annotations,
        **_rare(spec, linux),
    )


def _rare(spec: dict[str, Any], linux: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if spec.get("hooks"):
        from dockyard.base.oci.hooks import parse_hooks

        found["hooks"] = parse_hooks(spec["hooks"])
    if linux.get("personality") or linux.get("memoryPolicy"):
        from dockyard.base.oci.scheduling import parse_memory_policy, parse_personality

        if linux.get("personality"):
            found["personality"] = parse_personality(linux["personality"])
        if linux.get("memoryPolicy"):
            found["memory_policy"] = parse_memory_policy(linux["memoryPolicy"])
    if linux.get("intelRdt") is not None:
        from dockyard.base.oci.intelrdt import parse_intel_rdt

        found["intel_rdt"] = parse_intel_rdt(linux["intelRdt"])
    return found


def parse_process(document: Any, *, pause: bool = False) -> Process:
    """A ``process`` object: of a container, or of a command executed in one."""
    process = mapping(document, "process")
    if process.get("commandLine"):
        raise Unsupported("config: process.commandLine: for Windows; linux takes process.args")
    args = texts(process, "args", 65536)
    if not args and not pause:
        raise Invalid("config: process.args: empty; name a program")
    user = mapping(process.get("user", {}), "process.user")
    if user.get("username"):
        raise Unsupported("config: process.user.username: for Windows; linux takes uid and gid")
    sets = mapping(process.get("capabilities", {}), "process.capabilities")
    masks: dict[str, Any] = {kind: _capabilities(sets, kind) for kind in
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
        apparmor=text(process, "apparmorProfile", "process", default="", longest=4096),
        selinux=text(process, "selinuxLabel", "process", default="", longest=4096),
        **masks,
        **_rare_process(process),
    )


def _rare_process(process: dict[str, Any]) -> dict[str, Any]:
    members = {"scheduler": "scheduler", "ioPriority": "io_priority", "execCPUAffinity": "affinity"}
    if not any(process.get(name) for name in members):
        return {}
    from dockyard.base.oci import scheduling

    parsers: dict[str, Callable[[Any], Any]] = {
        "scheduler": scheduling.parse_scheduler, "ioPriority": scheduling.parse_io_priority,
        "execCPUAffinity": scheduling.parse_affinity,
    }  # fmt: skip
    return {
        field: parsers[name](process[name]) for name, field in members.items() if process.get(name)
    }


def _namespaces(linux: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for index, item in enumerate(items(linux, "namespaces", 16)):
        where = f"linux.namespaces[{index}]"
        entry = mapping(item, where)
        kind = text(entry, "type", where)
        if kind not in NAMESPACES:
            raise Invalid(f"config: {where}.type: {kind!r}; one of {', '.join(NAMESPACES)}")
        if kind in found:
            raise Invalid(f"config: {where}.type: {kind} stands there twice")
        path = text(entry, "path", where, default="")
        found[kind] = absolute(path, f"{where}.path") if path else None
    if "mount" not in found and "user" in found:
        raise Unsupported("config: linux.namespaces: user without mount: in the host's mount "
                          "namespace a user namespace's root may not mount anything")  # fmt: skip
    return found


def _user_namespace(
    linux: dict[str, Any], namespaces: dict[str, str | None]
) -> tuple[IdMap, IdMap]:
    """Both maps of a new user namespace. Init sets the tree up as its root, so that has an id."""
    uids, gids = (parse_map(linux, name, "linux") for name in ("uidMappings", "gidMappings"))
    new = "user" in namespaces and namespaces["user"] is None
    if not new:
        if "user" not in namespaces and (uids or gids):
            raise Invalid("config: linux.uidMappings: without a user namespace of its own")
        return (), ()
    for name, ranges in (("uidMappings", uids), ("gidMappings", gids)):
        if not ranges:
            raise Invalid(f"config: linux.{name}: missing; a user namespace needs a mapping")
        if not covers(ranges, 0):
            raise Invalid(f"config: linux.{name}: id 0 of the container has no id outside")
    return uids, gids


def _offsets(
    linux: dict[str, Any], namespaces: dict[str, str | None]
) -> dict[str, tuple[int, int]]:
    found = mapping(linux.get("timeOffsets") or {}, "linux.timeOffsets")
    if found and not ("time" in namespaces and namespaces["time"] is None):
        raise Invalid("config: linux.timeOffsets: without a new time namespace")
    offsets = {}
    for clock, value in found.items():
        where = f"linux.timeOffsets.{clock}"
        if clock not in CLOCKS:
            raise Invalid(f"config: {where}: one of {', '.join(CLOCKS)}")
        entry = mapping(value, where)
        seconds = integer(entry, "secs", where, -(2**63), 2**63 - 1)
        offsets[clock] = seconds, integer(entry, "nanosecs", where, 0, 999_999_999)
    return offsets


def _propagation(name: str) -> str:
    """``rprivate`` and the like are what runc takes too."""
    if name and name.removeprefix("r") not in PROPAGATIONS:
        raise Invalid(
            f"config: linux.rootfsPropagation: {name[:80]!r}; one of {', '.join(PROPAGATIONS)}"
        )
    return name


def _name(spec: dict[str, Any], member: str, namespaces: dict[str, str | None]) -> str:
    """The host's own name is never changed. One for a joined namespace is already there."""
    found = text(spec, member, "config", default="", longest=64)
    if found and "uts" not in namespaces:
        raise Invalid(f"config: {member}: {found!r}: without a uts namespace of its own")
    return found


def _annotations(value: Any) -> dict[str, str]:
    found = mapping(value, "annotations")
    for name, content in found.items():
        if not name or not isinstance(content, str):
            raise Invalid(f"config: annotations: {name[:80]!r}: a key and a text")
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


def _mount(item: Any, where: str, user: bool) -> Mount:
    mount = mapping(item, where)
    options = parse_options(texts(mount, "options", 256))
    destination = text(mount, "destination", where)
    if not destination.startswith("/"):  # a relative one is deprecated, and below the root
        destination = f"/{destination}"
    uids, gids = (parse_map(mount, name, where) for name in ("uidMappings", "gidMappings"))
    if bool(uids) != bool(gids):
        raise Invalid(f"config: {where}: uidMappings and gidMappings go together")
    if options.idmap and not uids and not user:
        raise Invalid(f"config: {where}.options: {options.idmap}: no mappings to use")
    if uids and not options.idmap:  # so says config.md, and so does runc
        options = options._replace(idmap="idmap")
    return Mount(
        destination=absolute(destination, f"{where}.destination"),
        kind=text(mount, "type", where, default=""),
        source=text(mount, "source", where, default=""),
        options=options,
        uids=uids,
        gids=gids,
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
        mode=integer(device, "fileMode", where, 0, 0o177777, default=0o666) & 0o7777,
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

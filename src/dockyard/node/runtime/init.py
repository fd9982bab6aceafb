"""Turns a forked process into a container's first process, or into a command in one.

The words between it and its parent are in :mod:`..messages`.
"""

from __future__ import annotations

import _socket
import os
from _socket import socket as Plain

from dockyard.base import contexts, jsontext
from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.linux import cgroupfs, firststep, loopback, passing, signals, syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.hooks import Hook
from dockyard.base.oci.mountoptions import MS_BIND
from dockyard.base.oci.runtimespec import Process, Spec
from dockyard.base.typed import NamedTuple
from dockyard.interfaces.ociruntime import Overlay, StartFailed
from dockyard.node.runtime import (
    bindtrees,
    confine,
    execution,
    hosttree,
    rootfs,
    rootpath,
    terminal,
)
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.messages import (
    FLAGS,
    GO,
    HOOKS,
    LISTENER,
    LONGEST_MESSAGE,
    READY,
    START,
)
from dockyard.node.runtime.parts import NOTHING, Chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    Gate = Callable[[], Plain]
    """Waits for whoever will say ``start``."""


Stdio = tuple[int, int, int]

PROCESSORS = os.cpu_count() or 1
EVERY_PROCESSOR = range(1024)
PAUSE = Process(
    args=("pause",), env=(), cwd="/", terminal=False, size=None, uid=0, gid=0, groups=(),
    umask=None, bounding=0, effective=0, permitted=0, inheritable=0, ambient=0, rlimits=(),
    no_new_privileges=True, oom_score_adj=None,
)  # fmt: skip


class Birth(NamedTuple):
    """What a container's first process is made of."""

    container: str
    spec: Spec
    overlay: Overlay | None
    stdio: Stdio | Callable[[Plain], Stdio]
    """What waits for its control group gets them then."""
    gate: Gate | None = None
    """None: the monitor that forked this process starts it too, and it dies with its monitor."""
    bundle: str = ""
    """What hooks are told: the container's folder."""
    preserved: int = 0
    """Descriptors from 3 on that its program gets."""
    keyring: bool = True
    """Whether it gets a session keyring of its own."""
    born: int = 0
    """Flags of the new namespaces that the process has already."""
    cradled: bool = False
    """Whether it was born in its control group of version 2."""
    tree: int = -1
    """The root, where a mount of it was made already."""
    ahead: Chosen = NOTHING
    """What is mounted already."""
    filter: Callable[[Plain], bytes | None] | None = None
    """Says the seccomp filter before the start, of a container that is :func:`early`; else it comes
    with the start."""


def staged(spec: Spec) -> bool:
    """Whether its init is not the process that is forked for it, but that one's sibling."""
    kinds = spec.namespaces
    return "user" in kinds or ("time" in kinds and kinds["time"] is None)


def check_rights(spec: Spec) -> None:
    """An ordinary user has rights only in a user namespace of their own."""
    if os.geteuid() != 0 and "user" not in spec.namespaces:
        raise Unsupported(
            "config: linux.namespaces: without root a container needs a user namespace:"
            " add one, with uidMappings and gidMappings"
        )


def early(spec: Spec) -> bool:
    """Whether its init gives up its rights before it is started: all but what answers or hooks at
    the start need another process for. Then the start has to wait for less: 1 ms."""
    asks = spec.hooks or spec.pause or (spec.seccomp or {}).get("listenerPath")
    return not asks


def joinable(spec: Spec, *, staged: bool) -> int:
    """Flags of the namespaces that a command in the container joins.

    The host's own it has already. Its pid namespace is that of the monitor's children, unless that
    can be entered only from inside its user namespace (``staged``).
    """
    kinds = [kind for kind in spec.namespaces if kind != "pid" or staged]
    return sum(FLAGS[kind] for kind in kinds)


def become_init(birth: Birth, sync: Plain) -> NoReturn:
    """The container's first process, from the fork on. Ends by the exec or by an exit."""
    unheard = False
    try:
        ordinary = os.geteuid() != 0
        _build(birth, sync)
        pause = birth.spec.pause
        process = PAUSE if pause else birth.spec.process
        program = firststep.PAUSE if pause else firststep.RELAY
        if birth.filter is not None:
            unheard, program = True, firststep.WAITING
            filter_program = birth.filter(sync)
        else:
            if birth.gate is not None:
                sync.close()
                sync = birth.gate()
            filter_program = _wait_for_start(sync)
        if ordinary:
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        sync, step = execution.prepare(program, sync, birth.preserved)
        confine.apply_domain(birth.spec)
        keyring = birth.container if birth.keyring else ""
        confine.confine(process, None if pause else filter_program, keyring, _listening(sync))
        if birth.spec.hooks.get("startContainer"):
            _run_inside(birth, process, step)
        if birth.gate is None:
            _die_with_monitor(sync)
        if pause:
            execution.pause(step)
        execution.relay(process, step, sync.fileno())
    except BaseException as error:  # whatever it is: the monitor must hear of it
        if unheard:  # whoever starts it is told
            _wait_for_start(sync)
        report(sync, error)
    os._exit(1)


def report(sync: Plain, error: BaseException) -> None:
    """Tell the monitor why the start failed."""
    code = error.exit_code if isinstance(error, StartFailed) else execution.FAILED
    known = isinstance(error, (DockyardError, OSError))
    text = str(error) if known else f"{type(error).__name__}: {error}"
    with contexts.suppress(OSError):
        sync.send(jsontext.dumps({"error": text, "code": code}).encode())


def _die_with_monitor(sync: Plain) -> None:
    """After the change of credentials, which clears it: prctl(2), PR_SET_PDEATHSIG."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signals.SIGKILL)
    with contexts.suppress(BlockingIOError):
        if not sync.recv(1, _socket.MSG_DONTWAIT | _socket.MSG_PEEK):
            os._exit(1)  # it died before


def _wait_for_start(sync: Plain) -> bytes | None:
    """The seccomp filter that comes with it. The monitor's death is the end."""
    message = sync.recv(LONGEST_MESSAGE)
    if not message.startswith(START):
        os._exit(1)
    return message[len(START) :] or None


def _ask(sync: Plain, message: bytes, *descriptors: int) -> None:
    """Wait until the parent has done something. If it refuses or is gone, this process ends."""
    passing.send(sync, message, list(descriptors))
    if sync.recv(len(GO)) != GO:
        os._exit(1)


def _listening(sync: Plain) -> Callable[[int], None]:
    return lambda listener: _ask(sync, LISTENER, listener)


class Grouping:
    """The way of a process into its container's control group. What has to be made in there, or
    shows it, calls this first: what was born ahead builds the rest while the group is made."""

    def __init__(self, birth: Birth, sync: Plain) -> None:
        self._birth, self._sync = birth, sync
        self._stdio: Stdio | None = None

    def __call__(self) -> Stdio:
        """Be in it; the second time nothing happens."""
        if self._stdio is None:
            spec, stdio = self._birth.spec, self._birth.stdio
            self._stdio = stdio(self._sync) if callable(stdio) else stdio
            group.join(spec.cgroup, born=self._birth.cradled)
            _use_every_processor()
            if callable(stdio) and _fresh(spec, "cgroup"):
                # it has the group that one is in as its root
                syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        return self._stdio


def _fresh(spec: Spec, kind: str) -> bool:
    return kind in spec.namespaces and not spec.namespaces[kind]


def _build(birth: Birth, sync: Plain) -> None:
    spec, ordinary = birth.spec, os.geteuid() != 0
    through("setsid", os.setsid)
    through("umask", os.umask, 0)
    grouping, born = Grouping(birth, sync), birth.born
    if callable(birth.stdio):
        born |= syscalls.CLONE_NEWCGROUP
    if not callable(birth.stdio) or any(spec.namespaces.values()):
        grouping()  # at once: another's mount namespace need not show the groups
    if spec.namespaces.get("mount"):
        from dockyard.node.runtime import strangers

        strangers.load()
    if spec.process.oom_score_adj is not None:
        confine.set_oom_score(spec.process.oom_score_adj)
    _apply_rare(birth)
    trees: dict[int, int] = {}
    if staged(spec):
        from dockyard.node.runtime import stage

        trees = stage.enter(spec, birth.overlay, sync)
    elif any(bindtrees.early(mount) for mount in spec.mounts):
        trees = bindtrees.prepare(spec, everyone=False)
    if birth.tree >= 0:
        trees[rootfs.ROOT] = birth.tree
    _enter_namespaces(spec, born)
    null = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)  # of this mount namespace: it is bound
    root, later = rootfs.build(spec, birth.overlay, null, trees, grouping, birth.ahead)
    os.close(null)
    stdio = grouping()
    master = slave = -1
    if spec.process.terminal:
        master, slave = terminal.open_pair(root)
        if spec.process.size:
            terminal.resize(master, *spec.process.size)
        _bind_console(root, slave)
    if spec.hooks:
        _run_before_pivot(birth, sync, root)
    rootfs.seal(root, spec, later)
    rootfs.enter(root, spec)
    os.close(root)
    if birth.gate is not None and not spec.pause:
        execution.look_up(spec.process)  # so that it is create that fails, as shims expect
    if ordinary:  # whoever gives it a network opens its namespaces: the user's own processes only
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    if spec.process.terminal:
        _hand_over_terminal(sync, master, slave, spec.process, control=not spec.console)
    else:
        _take_stdio(sync, stdio)


def _apply_rare(birth: Birth) -> None:
    """What needs the host's files, and what is imported while those can be read."""
    spec = birth.spec
    if spec.process.selinux or spec.process.apparmor or spec.mount_label:
        from dockyard.node.runtime import labels

        labels.check_spec(spec)
        labels.apply(spec.process)
    if spec.intel_rdt is not None:
        from dockyard.node.runtime import intelrdt

        intelrdt.enter(spec.intel_rdt, birth.container, intelrdt.mounted())
    confine.load_rare(spec.process, spec)
    if spec.hooks:
        from dockyard.node.runtime import hooks  # noqa: F401 - the root is the container's later
    if spec.sysctl:
        from dockyard.base.linux import mountapi  # noqa: F401
    if any(mount.options.copy_up for mount in spec.mounts):
        from dockyard.node.runtime import copyup  # noqa: F401 - its user may read no file here


def _run_before_pivot(birth: Birth, sync: Plain, root: int) -> None:
    """createContainer hooks work in the folder that is going to be the root, as runc's do."""
    from dockyard.node.runtime import hooks

    found = birth.spec.hooks
    if found.get("prestart") or found.get("createRuntime"):
        _ask(sync, HOOKS)
    who = hooks.identity(birth.container, birth.bundle, birth.spec)
    own = birth.spec.process.env

    def become(hook: Hook) -> None:
        os.fchdir(root)
        os.execve(hook.path, hook.args, hooks.environment(hook, own))  # noqa: S606

    hooks.run(found, "createContainer", hooks.state(who, "creating", os.getpid()), become)


def _run_inside(birth: Birth, process: Process, step: str | int) -> None:
    """Hooks of the container's own files, with no more rights than its program has."""
    from dockyard.node.runtime import hooks

    who = hooks.identity(birth.container, birth.bundle, birth.spec)
    said = hooks.state(who, "created", os.getpid())
    own = tuple(f"{name}={value}" for name, value in execution.variables(process).items())
    hooks.run(
        birth.spec.hooks,
        "startContainer",
        said,
        lambda hook: execution.execute_through(
            step, hook.path, hook.args, hooks.environment(hook, own)
        ),
    )


def _hand_over_terminal(
    sync: Plain, master: int, slave: int, process: Process, *, control: bool
) -> None:
    through("fchown", os.fchown, slave, process.uid, -1)  # its group is devpts's gid=
    terminal.take(slave, control)
    os.close(slave)
    passing.send(sync, READY, [master])
    os.close(master)


def _take_stdio(sync: Plain, stdio: Stdio) -> None:
    for target, descriptor in enumerate(stdio):
        through("dup2", os.dup2, descriptor, target)
    sync.send(READY)


def _use_every_processor() -> None:
    """Of its group's cpuset, if the caller has been bound to some: sched_setaffinity(2)."""
    if len(os.sched_getaffinity(0)) < PROCESSORS:
        through("sched_setaffinity", os.sched_setaffinity, 0, EVERY_PROCESSOR)


def _enter_namespaces(spec: Spec, born: int) -> None:
    """All but those that a fork has to enter; joined ones only where no stage has done that."""
    kinds = {kind: path for kind, path in spec.namespaces.items() if kind not in ("pid", "user")}
    if not staged(spec):
        how = os.O_RDONLY | os.O_CLOEXEC
        joined = [(kind, path) for kind, path in kinds.items() if path]
        opened = [(kind, through("openat", os.open, path, how)) for kind, path in joined]
        for kind, descriptor in opened:
            if kind == "mount":
                from dockyard.node.runtime import strangers

                strangers.check(descriptor, kinds[kind] or "")
            syscalls.setns(descriptor, FLAGS[kind])
            os.close(descriptor)
    fresh = 0
    for kind, path in kinds.items():
        if not path and kind != "time":
            fresh |= FLAGS[kind]
    syscalls.unshare(fresh & ~born)
    if fresh & ~born & syscalls.CLONE_NEWNET:
        loopback.turn_on()  # as runc does
    if "uts" in spec.namespaces and spec.namespaces["uts"] is None:
        if spec.hostname:
            syscalls.sethostname(spec.hostname)
        if spec.domainname:
            syscalls.setdomainname(spec.domainname)


def _bind_console(root: int, slave: int) -> None:
    """/dev/console is the container's terminal: crun, runc and systemd expect it."""
    target = rootpath.open_plain_file(root, "/dev/console")
    try:
        syscalls.mount(rootpath.fd_path(slave), rootpath.fd_path(target), None, MS_BIND)
    finally:
        os.close(target)


class Errand(NamedTuple):
    """What a command in a container is made of; ``init`` is a pidfd of the container's init."""

    container: str
    process: Process
    cgroup: str
    init: int
    stdio: Stdio
    namespaces: int = 0
    """Flags of those that are joined."""
    staged: bool = False
    """Whether its pid namespace can be entered only from inside its user namespace."""
    preserved: int = 0
    """Descriptors from 3 on that it gets."""
    inner: tuple[str, ...] = ()
    """Files of groups below the container's that it writes itself into."""
    tree: str = ""
    """Where the container's root lies among the host's mounts; empty: in its mount namespace."""
    spec: Spec | None = None
    """The container's, for a command that gets its personality and memory policy too."""
    cradled: bool = False
    """Whether it was born in its control group of version 2."""


def become_command(errand: Errand, sync: Plain) -> NoReturn:
    """A further process of a running container.

    The caller is not dumpable, so neither is this fork until it executes: nothing in the container
    can trace it or look at what it holds (CVE-2016-9962).
    """
    process = errand.process
    if errand.staged:
        from dockyard.node.runtime import stage
    try:
        through("setsid", os.setsid)
        if process.affinity[0]:
            os.sched_setaffinity(0, process.affinity[0])
        group.join(errand.cgroup, born=errand.cradled)
        for file in errand.inner:
            cgroupfs.write(file, "0")
        if process.affinity[1]:
            os.sched_setaffinity(0, process.affinity[1])
        elif not process.affinity[0]:
            _use_every_processor()
        if process.oom_score_adj is not None:
            confine.set_oom_score(process.oom_score_adj)
        confine.load_rare(process, errand.spec)
        _label(process)
        tree = _open_tree(errand.tree) if errand.tree else -1
        if errand.namespaces:
            syscalls.setns(errand.init, errand.namespaces)
        os.close(errand.init)
        if tree >= 0:
            hosttree.enter(tree)
            os.close(tree)
        if errand.namespaces & syscalls.CLONE_NEWUSER:
            confine.become_root()
        if errand.staged:
            stage.go_on_as_sibling(sync)
        through("chdir", os.chdir, "/")
        if process.terminal:
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            master, slave = terminal.open_pair(root)
            os.close(root)
            if process.size:
                terminal.resize(master, *process.size)
            _hand_over_terminal(sync, master, slave, process, control=True)
        else:
            _take_stdio(sync, errand.stdio)
        filter_program = _wait_for_start(sync)
        sync, step = execution.prepare(firststep.RELAY, sync, errand.preserved)
        if errand.spec is not None:
            confine.apply_domain(errand.spec)
        confine.confine(process, filter_program, errand.container, _listening(sync))
        execution.relay(process, step, sync.fileno())
    except BaseException as error:  # whatever it is: the monitor must hear of it
        report(sync, error)
    os._exit(1)


def _open_tree(path: str) -> int:
    return through("open", os.open, path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _label(process: Process) -> None:
    if process.selinux or process.apparmor:
        from dockyard.node.runtime import labels

        labels.check(process)
        labels.apply(process)

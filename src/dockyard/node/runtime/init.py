"""Turns a forked process into a container's first process, or into a command in one.

Messages on a seqpacket socket: child ``ready`` (namespaces and tree are there; with a terminal, its
master comes along), monitor ``start`` and the seccomp filter; then the socket closes by the exec,
or brings the error.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from dockyard.base.errors import DockyardError
from dockyard.base.linux import firststep, syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.mountoptions import MS_BIND
from dockyard.base.oci.runtimespec import Process, Spec
from dockyard.interfaces.ociruntime import Overlay, StartFailed
from dockyard.node.runtime import confine, execution, rootfs, rootpath, terminal
from dockyard.node.runtime.cgroups import group

FLAGS = {
    "mount": syscalls.CLONE_NEWNS,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "pid": syscalls.CLONE_NEWPID,
}
READY, START = b"ready", b"start"
LONGEST_MESSAGE = 65536
Stdio = tuple[int, int, int]
Gate = Callable[[], socket.socket]
"""Waits for whoever will say ``start``."""

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
    stdio: Stdio
    gate: Gate | None = None
    """None: the monitor that forked this process starts it too, and it dies with its monitor."""


def become_init(birth: Birth, sync: socket.socket) -> NoReturn:
    """The container's first process, from the fork on. Ends by the exec or by an exit."""
    try:
        _build(birth, sync)
        if birth.gate is not None:
            sync.close()
            sync = birth.gate()
        filter_program = _wait_for_start(sync)
        pause = birth.spec.pause
        process = PAUSE if pause else birth.spec.process
        sync, step = execution.prepare(firststep.PAUSE if pause else firststep.RELAY, sync)
        confine.confine(process, None if pause else filter_program, birth.container)
        if birth.gate is None:
            _die_with_monitor(sync)
        if pause:
            execution.pause(step)
        execution.relay(process, step)
    except BaseException as error:  # whatever it is: the monitor must hear of it
        report(sync, error)
    os._exit(1)


def report(sync: socket.socket, error: BaseException) -> None:
    """Tell the monitor why the start failed."""
    code = error.exit_code if isinstance(error, StartFailed) else execution.FAILED
    known = isinstance(error, (DockyardError, OSError))
    text = str(error) if known else f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        sync.send(json.dumps({"error": text, "code": code}).encode())


def _die_with_monitor(sync: socket.socket) -> None:
    """After the change of credentials, which clears it: prctl(2), PR_SET_PDEATHSIG."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(BlockingIOError):
        if not sync.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK):
            os._exit(1)  # it died before


def _wait_for_start(sync: socket.socket) -> bytes | None:
    """The seccomp filter that comes with it. The monitor's death is the end."""
    message = sync.recv(LONGEST_MESSAGE)
    if not message.startswith(START):
        os._exit(1)
    return message[len(START) :] or None


def _build(birth: Birth, sync: socket.socket) -> None:
    spec = birth.spec
    through("setsid", os.setsid)
    through("umask", os.umask, 0)
    group.join(spec.cgroup)  # a new cgroup namespace has the group that one is in as its root
    _enter_namespaces(spec)
    null = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)  # of this mount namespace: it is bound
    if spec.process.oom_score_adj is not None:
        confine.set_oom_score(spec.process.oom_score_adj)
    root = rootfs.build(spec, birth.overlay, null)
    master = slave = -1
    if spec.process.terminal:
        master, slave = terminal.open_pair(root)
        if spec.process.size:
            terminal.resize(master, *spec.process.size)
        _bind_console(root, slave)
    rootfs.pivot(root)
    os.close(root)
    os.close(null)
    if spec.process.terminal:
        _hand_over_terminal(sync, master, slave, spec.process, control=not spec.console)
    else:
        _take_stdio(sync, birth.stdio)


def _hand_over_terminal(
    sync: socket.socket, master: int, slave: int, process: Process, *, control: bool
) -> None:
    through("fchown", os.fchown, slave, process.uid, process.gid)
    terminal.take(slave, control)
    os.close(slave)
    socket.send_fds(sync, [READY], [master])
    os.close(master)


def _take_stdio(sync: socket.socket, stdio: Stdio) -> None:
    for target, descriptor in enumerate(stdio):
        through("dup2", os.dup2, descriptor, target)
    sync.send(READY)


def _enter_namespaces(spec: Spec) -> None:
    joined = [(kind, path) for kind, path in spec.namespaces.items() if path and kind != "pid"]
    opened = [
        (kind, through("openat", os.open, path, os.O_RDONLY | os.O_CLOEXEC))
        for kind, path in joined
    ]
    for kind, descriptor in opened:
        syscalls.setns(descriptor, FLAGS[kind])
        os.close(descriptor)
    fresh = 0
    for kind, path in spec.namespaces.items():
        if not path and kind != "pid":  # the pid namespace was made by the fork
            fresh |= FLAGS[kind]
    syscalls.unshare(fresh)
    if "uts" in spec.namespaces and spec.namespaces["uts"] is None:
        if spec.hostname:
            syscalls.sethostname(spec.hostname)
        if spec.domainname:
            syscalls.setdomainname(spec.domainname)


def _bind_console(root: int, slave: int) -> None:
    """/dev/console is the container's terminal: crun, runc and systemd expect it."""
    target = rootpath.open_target(root, "/dev/console", folder=False)
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


def become_command(errand: Errand, sync: socket.socket) -> NoReturn:
    """A further process of a running container.

    The caller is not dumpable, so neither is this fork until it executes: nothing in the container
    can trace it or look at what it holds (CVE-2016-9962).
    """
    process = errand.process
    try:
        through("setsid", os.setsid)
        group.join(errand.cgroup)
        if process.oom_score_adj is not None:
            confine.set_oom_score(process.oom_score_adj)
        syscalls.setns(errand.init, sum(flag for kind, flag in FLAGS.items() if kind != "pid"))
        os.close(errand.init)
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
        sync, step = execution.prepare(firststep.RELAY, sync)
        confine.confine(process, filter_program, errand.container)
        execution.relay(process, step)
    except BaseException as error:  # whatever it is: the monitor must hear of it
        report(sync, error)
    os._exit(1)

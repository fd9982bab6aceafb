"""Turns a forked process into a container's first process, in three steps with its monitor.

Messages on a seqpacket socket: monitor ``go`` (this process is in its control group), init
``ready`` (namespaces and tree are there; with a terminal, its master comes along), monitor
``start``; then the socket closes by the exec, or brings the error.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from typing import NoReturn

from dockyard.base.errors import DockyardError
from dockyard.base.linux import syscalls
from dockyard.base.oci.mountoptions import MS_BIND
from dockyard.base.oci.runtimespec import Process, Spec
from dockyard.interfaces.ociruntime import Overlay, StartFailed
from dockyard.node.runtime import confine, rootfs, rootpath, terminal

FLAGS = {
    "mount": syscalls.CLONE_NEWNS,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "pid": syscalls.CLONE_NEWPID,
}


def become_init(
    spec: Spec,
    overlay: Overlay | None,
    filter_program: bytes | None,
    sync: socket.socket,
    stdio: tuple[int, int, int],
) -> NoReturn:
    """The container's first process, from the fork on. Ends by the exec or by an exit."""
    try:
        _build(spec, overlay, sync, stdio)
        if sync.recv(16) != b"start":
            os._exit(1)
        if spec.pause:
            _pause(sync)
        else:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            confine.confine(spec.process, filter_program, sync.fileno())
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)  # cleared by setuid(2)
            confine.execute(spec.process)
    except BaseException as error:  # whatever it is: the monitor must hear of it
        report(sync, error)
    os._exit(1)


def report(sync: socket.socket, error: BaseException) -> None:
    """Tell the monitor why the start failed."""
    code = error.exit_code if isinstance(error, StartFailed) else 125
    known = isinstance(error, (DockyardError, OSError))
    text = str(error) if known else f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        sync.send(json.dumps({"error": text, "code": code}).encode())


def _build(
    spec: Spec, overlay: Overlay | None, sync: socket.socket, stdio: tuple[int, int, int]
) -> None:
    if sync.recv(16) != b"go":
        os._exit(1)
    os.setsid()
    os.umask(0)
    _enter_namespaces(spec)
    # opened here: a mount of the namespace we left can't be bound in this one
    null = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    if spec.process.oom_score_adj is not None:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(spec.process.oom_score_adj))
    root = rootfs.build(spec, overlay, null)
    message, descriptors = b"ready", []
    if spec.process.terminal:
        master, slave = terminal.open_pair(root)
        if spec.process.size:
            terminal.resize(master, *spec.process.size)
        _bind_console(root, slave)
        descriptors.append(master)
    rootfs.pivot(root)
    os.close(root)
    os.close(null)
    if spec.process.terminal:
        os.fchown(slave, spec.process.uid, spec.process.gid)
        terminal.take(slave)
        os.close(slave)
    else:
        for target, descriptor in enumerate(stdio):
            os.dup2(descriptor, target)
    socket.send_fds(sync, [message], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def _enter_namespaces(spec: Spec) -> None:
    joined = [(kind, path) for kind, path in spec.namespaces.items() if path and kind != "pid"]
    opened = [(kind, os.open(path, os.O_RDONLY | os.O_CLOEXEC)) for kind, path in joined]
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
        syscalls.mount(rootfs.fd_path(slave), rootfs.fd_path(target), None, MS_BIND)
    finally:
        os.close(target)


def _pause(sync: socket.socket) -> NoReturn:
    """Hold the namespaces of a pod and reap what is left to pid 1, until told to stop."""
    watched = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_SETMASK, watched)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    process = Process(
        ("pause",), (), "/", False, None, 0, 0, (), None, 0, 0, 0, 0, 0, (), True, None
    )
    confine.confine(process, None, sync.fileno())
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    sync.close()
    while True:
        if signal.sigwaitinfo(watched).si_signo != signal.SIGCHLD:
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def become_command(
    process: Process,
    container: int,
    filter_program: bytes | None,
    sync: socket.socket,
    stdio: tuple[int, int, int] | None,
) -> NoReturn:
    """A further process of a running container; ``container`` is a pidfd of its init.

    The caller is not dumpable, so neither is this fork until it executes: nothing in the container
    can trace it or look at what it holds (CVE-2016-9962).
    """
    try:
        if sync.recv(16) != b"go":
            os._exit(1)
        os.setsid()
        flags = sum(flag for kind, flag in FLAGS.items() if kind != "pid")
        syscalls.setns(container, flags)
        os.close(container)
        os.chdir("/")
        if process.terminal:
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            master, slave = terminal.open_pair(root)
            os.close(root)
            if process.size:
                terminal.resize(master, *process.size)
            os.fchown(slave, process.uid, process.gid)
            terminal.take(slave)
            os.close(slave)
            socket.send_fds(sync, [b"ready"], [master])
            os.close(master)
        else:
            for target, descriptor in enumerate(stdio or ()):
                os.dup2(descriptor, target)
            sync.send(b"ready")
        if sync.recv(16) != b"start":
            os._exit(1)
        confine.confine(process, filter_program, sync.fileno())
        confine.execute(process)
    except BaseException as error:  # whatever it is: the monitor must hear of it
        report(sync, error)
    os._exit(1)

"""Turns a bundle into a container whose first process is the caller's child, as shims expect."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Any, NamedTuple

from dockyard.base.aio.now import nano_stamp, wall
from dockyard.base.errors import Conflict, DockyardError, Invalid, Unsupported
from dockyard.base.linux import passing, seccomp, syscalls
from dockyard.base.oci import runtimespec, strictjson
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime import hooks, init, wire
from dockyard.node.runtime.attendant import Attendant, deliver
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.child import Child, enter_pid_namespace, failure
from dockyard.node.runtime.messages import GO, LISTENER, LONGEST_MESSAGE, START
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.state import Container

LARGEST_CONFIG = 16 * 1024 * 1024
OWN_STREAMS = (0, 1, 2)


class Options(NamedTuple):
    """What callers choose besides the bundle."""

    console_socket: str = ""
    pid_file: str = ""
    preserved: int = 0
    """Descriptors from 3 on that the process gets besides the standard ones."""
    keyring: bool = True
    """Whether it gets a session keyring of its own."""
    cgroup: tuple[str, ...] = ()
    """Of a command: groups below the container's, ``[CONTROLLER,...:]PATH``."""


def read_config(bundle: str, container_id: str) -> dict[str, Any]:
    """config.json of a bundle, its paths made absolute."""
    path = os.path.join(bundle, "config.json")
    with open(path, "rb") as file:
        spec = strictjson.decode_object(file.read(LARGEST_CONFIG + 1), path, limit=LARGEST_CONFIG)
    root = spec.get("root")
    if isinstance(root, dict) and isinstance(root.get("path"), str):
        root["path"] = os.path.join(os.path.abspath(bundle), root["path"])
    linux = spec.setdefault("linux", {})
    if isinstance(linux, dict) and not linux.get("cgroupsPath"):
        linux["cgroupsPath"] = f"/dockyard-oci/{container_id}"
    return spec


def create(root: str, container_id: str, bundle: str, options: Options) -> Container:
    """Make a container, its init waiting. What fails leaves nothing."""
    document = read_config(bundle, container_id)
    spec = runtimespec.parse(document)
    who = hooks.identity(container_id, os.path.abspath(bundle), spec)
    _check_terminal(spec.process.terminal, options)
    state.reserve(root, container_id)
    child, grouped = None, False
    try:
        gate = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with wire.address(state.gate_path(root, container_id)) as address:
            gate.bind(address)
        gate.listen(1)
        group.create(spec.cgroup, spec.resources)
        grouped = True
        if "pid" in spec.namespaces and not init.staged(spec):
            enter_pid_namespace(spec.namespaces["pid"])
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        program = spec.process.args[0] if spec.process.args else "pause"
        child = Child(spec.process.terminal, False, program, OWN_STREAMS)
        birth = init.Birth(container_id, spec, None, child.stdio, lambda: _accept_first(gate),
                           who.bundle)  # fmt: skip
        child.attendant = Attendant(spec, who)
        child.fork(lambda sync: init.become_init(birth, sync))
        child.built()
        _hand_over(child, options)
        pid_start = state.start_time(child.pid)
        made = Container(
            container_id, os.path.abspath(bundle), child.pid, pid_start, nano_stamp(wall()),
            document,
        )  # fmt: skip
        state.save(root, made)
    except BaseException:
        if child is not None:
            child.abandon()
        if grouped:
            group.remove(spec.cgroup)
        state.forget(root, container_id)
        _run_poststop(spec, who)
        raise
    return made


def _accept_first(gate: socket.socket) -> socket.socket:
    peer, _ = gate.accept()
    gate.close()
    return peer


def start(root: str, container: Container) -> None:
    """Let it execute its program."""
    if state.status(root, container) != "created":
        raise Conflict(f"container {container.id}: it is not created, or started already")
    spec = runtimespec.parse(container.spec)
    program = seccomp.filter_for(spec.seccomp, f"{root}/.cache") if spec.seccomp else b""
    path = state.gate_path(root, container.id)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gate:
        with wire.address(path) as address:
            gate.connect(address)
        os.unlink(path)
        gate.send(START + program)
        who = hooks.identity(container.id, container.bundle, spec)
        said, descriptors = passing.receive(gate, LONGEST_MESSAGE, 1)
        if said == LISTENER and descriptors:
            try:
                deliver(spec, who, container.pid, descriptors[0])
            finally:
                os.close(descriptors[0])
            gate.send(GO)
            said = gate.recv(LONGEST_MESSAGE)
    if said:
        raise failure(said, spec.process.args[0] if spec.process.args else "pause")
    said_running = hooks.state(who, "running", container.pid)
    try:
        hooks.run_outside(spec.hooks, "poststart", said_running, who.bundle)
    except StartFailed:
        with contextlib.suppress(Conflict, ProcessLookupError):
            kill(root, container, signal.SIGKILL, everyone=False)
        raise


def _run_poststop(spec: runtimespec.Spec, who: hooks.Identity) -> None:
    """What fails there changes nothing (runtime.md, "Lifecycle")."""
    with contextlib.suppress(DockyardError, OSError):
        hooks.run_outside(spec.hooks, "poststop", hooks.state(who, "stopped", 0), who.bundle)


def kill(root: str, container: Container, number: int, *, everyone: bool) -> None:
    """Send a signal to init, or to every process."""
    if everyone:
        group.signal_all(container.cgroup, number)
        return
    if state.status(root, container) == "stopped":
        raise Conflict(f"container {container.id}: it is not running")
    process = os.pidfd_open(container.pid)
    try:
        if state.start_time(container.pid) == container.pid_start:
            syscalls.pidfd_send_signal(process, number)
    finally:
        os.close(process)


def delete(root: str, container: Container, *, force: bool) -> None:
    """Remove what `create` has made."""
    if state.status(root, container) != "stopped" and not force:
        raise Conflict(f"container {container.id}: it is not stopped; --force ends it")
    with contextlib.suppress(Conflict, ProcessLookupError):
        kill(root, container, signal.SIGKILL, everyone=False)
    group.remove(container.cgroup)
    state.forget(root, container.id)
    spec = runtimespec.parse(container.spec)
    _run_poststop(spec, hooks.identity(container.id, container.bundle, spec))


def execute(root: str, container: Container, process: dict[str, Any], options: Options) -> int:
    """Start a command in it; the pid of this process's child."""
    if state.status(root, container) != "running":
        raise Conflict(f"container {container.id}: it is not running")
    checked = runtimespec.parse_process(process)
    spec = runtimespec.parse(container.spec)
    _check_terminal(checked.terminal, options)
    container_init = os.pidfd_open(container.pid)
    staged = init.staged(spec)
    if "pid" in spec.namespaces and not staged:
        syscalls.setns(container_init, syscalls.CLONE_NEWPID)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    child = Child(checked.terminal, False, checked.args[0], OWN_STREAMS)
    child.attendant = Attendant(spec, hooks.identity(container.id, container.bundle, spec))
    errand = init.Errand(
        container.id, checked, spec.cgroup, container_init, child.stdio,
        init.joinable(spec, staged=staged), staged,
    )  # fmt: skip
    try:
        child.fork(lambda sync: init.become_command(errand, sync))
        child.built()
        _hand_over(child, options)
        child.start(seccomp.filter_for(spec.seccomp, f"{root}/.cache") if spec.seccomp else None)
        child.started()
    except BaseException:
        child.abandon()
        raise
    return child.pid


def _check_terminal(terminal: bool, options: Options) -> None:
    if terminal and not options.console_socket:
        raise Unsupported("terminal: only with --console-socket; a foreground terminal is not"
                          " implemented")  # fmt: skip
    if options.console_socket and not terminal:
        raise Invalid("--console-socket: the process has no terminal (process.terminal is false)")


def _hand_over(child: Child, options: Options) -> None:
    """The terminal's master to whoever listens for it; the pid to whoever reads the file."""
    if options.console_socket:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            with wire.address(options.console_socket) as address:
                peer.connect(address)
            socket.send_fds(peer, [b"/dev/ptmx"], [child.streams.stdout])
        os.close(child.streams.stdout)
    if options.pid_file:
        fresh = f"{options.pid_file}.new"
        with open(fresh, "w") as file:
            file.write(str(child.pid))
        os.replace(fresh, options.pid_file)

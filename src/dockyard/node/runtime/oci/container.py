"""Turns a bundle into a container whose first process is the caller's child, as shims expect."""

from __future__ import annotations

import _socket
import os
from _socket import socket as Plain

from dockyard.base import contexts
from dockyard.base.aio.now import nano_stamp, wall
from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound
from dockyard.base.linux import cgroupfs, passing, seccomp, signals, syscalls
from dockyard.base.oci import runtimespec
from dockyard.base.typed import NamedTuple
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime import hooks, hosttree, init, wire
from dockyard.node.runtime.attendant import Attendant, deliver
from dockyard.node.runtime.cgroups import group, ownership
from dockyard.node.runtime.child import Child, enter_pid_namespace, failure
from dockyard.node.runtime.messages import GO, LISTENER, LONGEST_MESSAGE, START
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.document import (
    descriptors,
    inherited,
    known_capabilities,
    passed_on,
    read_config,
)
from dockyard.node.runtime.oci.state import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from dockyard.node.runtime.cgroups.systemd import Scope
    from dockyard.node.runtime.oci.document import Warn
    from dockyard.node.runtime.oci.foreground import Foreground

OWN_STREAMS = (0, 1, 2)


def _unheard(text: str) -> None:
    """Nobody wants to know."""


class Options(NamedTuple):
    """What callers choose besides the bundle."""

    console_socket: str = ""
    pid_file: str = ""
    pidfd_socket: str = ""
    """Who is sent a descriptor of the process (pidfd_open(2))."""
    preserved: int = 0
    """Descriptors from 3 on that the process gets besides the standard ones."""
    keyring: bool = True
    """Whether it gets a session keyring of its own."""
    systemd: bool = False
    """Whether systemd makes the group: ``cgroupsPath`` is ``slice:prefix:name`` then."""
    cgroup: tuple[str, ...] = ()
    """Of a command: groups below the container's, ``[CONTROLLER,...:]PATH``."""
    warn: Warn = _unheard


def create(
    root: str, container_id: str, bundle: str, options: Options, front: Foreground | None = None
) -> Container:
    """Make a container, its init waiting. What fails leaves nothing. ``front``: who waits for
    it, and joins its terminal and streams to the caller's."""
    state.folder(root, container_id)
    preserved = descriptors(options.preserved)
    strange = inherited(3 + preserved)
    document = read_config(bundle, container_id, "systemd" if options.systemd else "cgroupfs")
    process = known_capabilities(document.get("process"), options.warn)
    document["process"] = passed_on(process, preserved - options.preserved)
    spec = runtimespec.parse(document)
    init.check_rights(spec)
    who = hooks.identity(container_id, os.path.abspath(bundle), spec)
    _check_terminal(spec.process.terminal, options, front)
    scope = _scope(spec.cgroup, container_id) if options.systemd else None
    if scope is not None:
        spec = spec._replace(cgroup=scope.path)
        document["linux"]["cgroupsPath"] = scope.path
    state.reserve(root, container_id)
    tree = hosttree.path_of(spec)
    made = Container(
        container_id, who.bundle, 0, 0, nano_stamp(wall()), document, options.systemd,
        tree, hosttree.count(tree) if tree else 0,
    )  # fmt: skip
    child, grouped, placeholder = None, False, None
    try:
        state.save(root, made)  # if this process is killed, somebody can clean up
        gate = Plain(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        with wire.address(state.gate_path(root, container_id)) as address:
            gate.bind(address)
        gate.listen(1)
        if scope is not None:
            from dockyard.node.runtime.cgroups import systemd

            placeholder = systemd.create(scope, spec.resources, f"container {container_id}")
            grouped = True
        else:
            grouped = bool(group.create(spec.cgroup, spec.resources, everywhere=True))
        if not grouped:  # an ordinary user's, to whom none is delegated
            spec = spec._replace(cgroup="")
        if spec.uids:
            ownership.hand_over(spec)
        if "pid" in spec.namespaces and not init.staged(spec):
            enter_pid_namespace(spec.namespaces["pid"])
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        program = spec.process.args[0] if spec.process.args else "pause"
        child = Child(spec.process.terminal, False, program, _streams(spec.process, front))
        birth = init.Birth(
            container_id, spec, None, child.stdio, lambda: _accept_first(gate), who.bundle,
            preserved, options.keyring,
        )  # fmt: skip
        child.attendant = Attendant(spec, who)

        def become(sync: Plain) -> NoReturn:
            for descriptor in strange:  # nothing of the caller's is open while init waits
                os.close(descriptor)
            init.become_init(birth._replace(cradled=child.cradle >= 0), sync)

        child.cradle = group.cradle(spec.cgroup)
        child.fork(become)
        child.built()
        if placeholder is not None:
            placeholder.end()
        _hand_over(child, options, front)
        made = made._replace(pid=child.pid, pid_start=state.start_time(child.pid))
        state.save(root, made)
    except BaseException:
        if child is not None:
            child.abandon()
        if placeholder is not None:
            placeholder.end()
        if grouped:
            _remove_group(spec.cgroup, options.systemd)
        if tree:
            hosttree.remove(tree, made.below)
        state.forget(root, container_id)
        _run_poststop(spec, who, options.warn)
        raise
    return made


def _scope(path: str, container_id: str) -> Scope:
    from dockyard.node.runtime.cgroups import systemd

    systemd.check()
    return systemd.parse(path, container_id)


def _remove_group(path: str, by_systemd: bool) -> None:
    if by_systemd:
        from dockyard.node.runtime.cgroups import systemd

        systemd.remove(path)
    else:
        group.remove(path)


def _accept_first(gate: Plain) -> Plain:
    descriptor, _ = gate._accept()  # type: ignore[attr-defined]
    gate.close()
    return Plain(fileno=descriptor)


def start(root: str, container: Container) -> None:
    """Let it execute its program."""
    now = state.status(root, container)
    if now != "created":
        why = {"stopped": "a container that has stopped", "running": "an already running container"}
        raise Conflict(f"{container.id}: cannot start {why.get(now, f'a container that is {now}')}")
    spec = runtimespec.parse(container.spec)
    program = seccomp.filter_for(spec.seccomp, f"{root}/.cache") if spec.seccomp else b""
    path = state.gate_path(root, container.id)
    with contexts.closing(Plain(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)) as gate:
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
        with contexts.suppress(Conflict, ProcessLookupError):
            kill(root, container, signals.SIGKILL, everyone=False)
        raise


def _run_poststop(spec: runtimespec.Spec, who: hooks.Identity, warn: Warn) -> None:
    """Each of them: what fails there is told and changes nothing (runtime.md, "Lifecycle")."""
    for hook in spec.hooks.get("poststop", ()):
        try:
            said = hooks.state(who, "stopped", 0)
            hooks.run_outside({"poststop": (hook,)}, "poststop", said, who.bundle)
        except (DockyardError, OSError) as error:
            warn(str(error))


def kill(root: str, container: Container, number: int, *, everyone: bool) -> None:
    """Send a signal to init, or to every process.

    The kernel ends what lives in a pid namespace with its init; without one, that is done here.
    """
    if everyone or (number == signals.SIGKILL and not _own_pids(container)):
        if not everyone and not group.pids(container.cgroup):
            raise Conflict(f"{container.id}: container not running")
        group.signal_all(container.cgroup, number)
        return
    if state.status(root, container) in ("stopped", "creating"):
        raise Conflict(f"{container.id}: container not running")
    process = os.pidfd_open(container.pid)
    try:
        if state.start_time(container.pid) == container.pid_start:
            syscalls.pidfd_send_signal(process, number)
    finally:
        os.close(process)


def _own_pids(container: Container) -> bool:
    """Whether its pid namespace is its own, so that it ends with the container's init."""
    return any(
        entry.get("type") == "pid" and not entry.get("path")
        for entry in container.spec["linux"].get("namespaces") or []
    )


def delete(root: str, container: Container, *, force: bool, warn: Warn) -> None:
    """Remove what `create` has made. ``warn`` hears of poststop hooks that fail."""
    now = state.status(root, container)
    if now not in ("stopped", "created") and not force:
        raise Conflict(
            f"cannot delete container {container.id} that is not stopped: {now}; --force ends it"
        )
    with contexts.suppress(Conflict, ProcessLookupError):
        kill(root, container, signals.SIGKILL, everyone=False)
    _remove_group(container.cgroup, container.systemd)
    if container.tree:
        hosttree.remove(container.tree, container.below)
    state.forget(root, container.id)
    spec = runtimespec.parse(container.spec)
    _run_poststop(spec, hooks.identity(container.id, container.bundle, spec), warn)


def check_executable(container: Container, now: str, *, paused_too: bool) -> None:
    """Whether a container takes a command."""
    if now == "creating":
        raise Conflict(f"{container.id}: cannot exec in a container that is being created")
    if now == "stopped":
        raise Conflict(f"{container.id}: cannot exec in a stopped container")
    if now == "paused" and not paused_too:
        raise Conflict(
            f"{container.id}: cannot exec in a paused container (use --ignore-paused to override)"
        )


def execute(
    root: str,
    container: Container,
    process: dict[str, Any],
    options: Options,
    front: Foreground | None = None,
) -> int:
    """Start a command in it; the pid of this process's child."""
    preserved = descriptors(options.preserved)
    process = known_capabilities(process, options.warn)
    checked = runtimespec.parse_process(passed_on(process, preserved - options.preserved))
    spec = runtimespec.parse(container.spec)
    _check_terminal(checked.terminal, options, front)
    container_init = os.pidfd_open(container.pid)
    staged = init.staged(spec)
    if "pid" in spec.namespaces and not staged:
        syscalls.setns(container_init, syscalls.CLONE_NEWPID)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    child = Child(checked.terminal, False, checked.args[0], _streams(checked, front))
    child.attendant = Attendant(spec, hooks.identity(container.id, container.bundle, spec))
    joined = spec.cgroup if os.geteuid() == 0 or _has_group(spec.cgroup) else ""
    errand = init.Errand(
        container.id, checked, joined, container_init, child.stdio,
        init.joinable(spec, staged=staged), staged, preserved,
        tuple(_inner_groups(spec.cgroup, options.cgroup)), container.tree, spec,
    )  # fmt: skip

    def become(sync: Plain) -> NoReturn:
        init.become_command(errand._replace(cradled=child.cradle >= 0), sync)

    try:
        if not checked.affinity[0]:  # which it has before it is in its group
            child.cradle = group.cradle(joined)
        child.fork(become)
        child.built()
        _hand_over(child, options, front)
        child.start(seccomp.filter_for(spec.seccomp, f"{root}/.cache") if spec.seccomp else None)
        child.started()
    except BaseException:
        child.abandon()
        raise
    return child.pid


def _has_group(path: str) -> bool:
    """Whether an ordinary user's container could be given one."""
    return any(os.path.isdir(folder) for folder in cgroupfs.folders(group.checked(path)))


def _inner_groups(path: str, wanted: tuple[str, ...]) -> Iterator[str]:
    """Files of groups below a container's, of ``[CONTROLLER,...:]PATH``."""
    layout = cgroupfs.layout()
    for text in wanted:
        names, colon, below = text.rpartition(":")
        below = below.strip("/")
        if ".." in below.split("/") or (colon and not names):
            raise Invalid(f"--cgroup: {text!r}: not [CONTROLLER,...:]PATH")
        unknown = [name for name in names.split(",") if name and name not in layout.v1]
        if unknown:
            raise Invalid(f"--cgroup: {text!r}: {unknown[0]}: not mounted here as cgroup v1")
        found = [layout.v1[name] for name in names.split(",")] if names else list(layout.roots)
        places = [f"{root}/{path}/{below}".rstrip("/") for root in found]
        files = [f"{place}/tasks" for place in places]
        if not names and layout.pure:
            files.append(f"{layout.v2}/{path}/{below}/cgroup.procs")
        for file in files:
            if not os.path.exists(file):
                raise NotFound(f"--cgroup: {text!r}: {os.path.dirname(file)}: does not exist")
        yield from files


def _streams(process: runtimespec.Process, front: Foreground | None) -> init.Stdio:
    return OWN_STREAMS if process.terminal or front is None else front.streams()


def _check_terminal(terminal: bool, options: Options, front: Foreground | None) -> None:
    if options.console_socket:
        if not terminal:
            raise Invalid("--console-socket: the process has no terminal (process.terminal is"
                          " false); cannot use console socket without a tty")  # fmt: skip
    elif terminal:
        if front is None:
            raise Invalid("cannot allocate tty for a process that is detached without setting"
                          " console socket; use --console-socket")  # fmt: skip
        front.terminal()


def _hand_over(child: Child, options: Options, front: Foreground | None) -> None:
    """The terminal's master to whoever listens for it; the process to whoever
    asked for it, by a descriptor or by a file with its pid."""
    if options.console_socket:
        with contexts.closing(Plain(_socket.AF_UNIX, _socket.SOCK_STREAM)) as peer:
            with wire.address(options.console_socket) as address:
                peer.connect(address)
            passing.send(peer, b"/dev/ptmx", [child.streams.stdout])
        os.close(child.streams.stdout)
    elif child.terminal and front is not None:
        front.join_terminal(child.streams.stdout)
    if options.pidfd_socket:
        process = os.pidfd_open(child.pid)
        try:
            with contexts.closing(Plain(_socket.AF_UNIX, _socket.SOCK_STREAM)) as peer:
                with wire.address(options.pidfd_socket) as address:
                    peer.connect(address)
                passing.send(peer, b"pidfd", [process])
        finally:
            os.close(process)
    if options.pid_file:
        fresh = f"{options.pid_file}.new"
        with open(fresh, "w") as file:
            file.write(str(child.pid))
        os.replace(fresh, options.pid_file)

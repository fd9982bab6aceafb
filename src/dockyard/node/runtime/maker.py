"""Turns a launch into a container whose init waits to be started.

A process of its own does this where there is one (:mod:`.spare`): what making touches ends with it,
and init is its monitor's child nevertheless.
"""

from __future__ import annotations

import os
import select
from _socket import socket as Plain

from dockyard.base import contexts
from dockyard.base.aio.now import wall
from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.linux import seccomp
from dockyard.base.linux.overlay import FUSE
from dockyard.base.oci import runtimespec
from dockyard.interfaces.ociruntime import Launch, StartFailed
from dockyard.node.runtime import connection, hooks, hosttree, init, launchmessage, wire
from dockyard.node.runtime.attendant import Attendant
from dockyard.node.runtime.cgroups import (  # before a launchpad forks: limits
    freezer,
    group,
    limits,  # noqa: F401
    ownership,
)
from dockyard.node.runtime.child import Child, enter_pid_namespace
from dockyard.node.runtime.launchmessage import Order
from dockyard.node.runtime.logs import LogWriter
from dockyard.node.runtime.made import Held, Made, Rest, give, give_rest
from dockyard.node.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.runtime.newborn import Newborn


class Maker:
    """One container, until its init waits."""

    def __init__(
        self,
        launch: Launch,
        cache: str,
        newborn: Newborn | None = None,
        order: Order | None = None,
        whole: bytes = b"",
    ) -> None:
        """``order``: what the launch's document says, if that was read already; ``whole``: the
        launch with it, packed."""
        self.launch, self._cache, self._newborn = launch, cache, newborn
        self._packed = whole
        self._listener: Plain | None = None
        self.child: Child | None = None
        self._grouped = False
        self.filter = order.filter if order else None
        self.spec = order.spec if order else runtimespec.parse(launch.spec)

    def make(self, attach: bool, creator: Plain) -> tuple[Made, Held, Rest]:
        """All of it, in the process that becomes the monitor. What fails is undone and raised. The
        monitor tells the creator: who hears of a container finds it listening."""
        with self._undone():
            child = self._begin()
            child.built()
            return *self._told(child, attach), self._rest(child, creator)

    def make_for(self, way: Plain, attach: bool, creator: Plain) -> None:
        """The same for a monitor that is another process, the parent; the way leads there."""
        with self._undone():
            child = self._begin(way)
            if child.terminal or init.staged(self.spec):  # its pid, or terminal, is known then
                child.built()
                give(way, *self._told(child, attach))
            else:
                give(way, *self._told(child, attach))
                child.built()
            give_rest(way, self._rest(child, creator))

    @contexts.contextmanager
    def _undone(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._unmake()
            raise

    def _begin(self, between: Plain | None = None) -> Child:
        init.check_rights(self.spec)
        if self.spec.hooks:
            from dockyard.node.runtime import afterwards  # few containers have hooks

            afterwards.keep(self._whole(), self.spec)
        self._make(between)
        self._listener = connection.bind(wire.socket_path(self.launch.run_dir))
        self._begin_log()
        assert self.child is not None
        return self.child

    def _told(self, child: Child, attach: bool) -> tuple[Made, Held]:
        assert self._listener is not None
        held = Held(self._listener.detach(), child.streams)
        child.streams = Streams(-1, -1, -1)
        return self._made(child, attach), held

    @staticmethod
    def _rest(child: Child, creator: Plain) -> Rest:
        return Rest(child.sync.detach(), creator.detach())

    def _made(self, child: Child, attach: bool) -> Made:
        launch, spec = self.launch, self.spec
        listens = bool((spec.seccomp or {}).get("listenerPath"))
        home, doors = group.home(spec.cgroup if self._grouped else "")
        more = bool(spec.hooks or launch.health or listens or launch.runtime)
        return Made(
            id=launch.id,
            run_dir=launch.run_dir,
            state_dir=launch.state_dir,
            program=spec.process.args[0] if spec.process.args else "pause",
            pid=child.pid,
            terminal=spec.process.terminal,
            stdin_once=launch.stdin_once,
            cgroup=spec.cgroup if self._grouped else "",
            freezer=freezer.file_of(group.checked(spec.cgroup)) if self._grouped else "",
            oom=group.oom_file(spec.cgroup) if self._grouped else "",
            groups=group.folders(spec.cgroup) if self._grouped else (),
            home=home,
            doors=doors,
            tree=hosttree.path_of(spec),
            namespaces=init.joinable(spec, staged=False),
            own_pids="pid" in spec.namespaces,
            staged=init.staged(spec),
            filter=self.filter,
            early=init.early(spec),
            log=launch.log and (*launch.log,),
            on_exit=launch.on_exit,
            hooks=tuple(spec.hooks),
            health=launch.health is not None,
            answer=wire.control({"pid": child.pid}),
            attach=attach,
            rest=launchmessage.pack(self._whole(), False) if more else b"",
        )

    def _make(self, between: Plain | None) -> None:
        newborn, self._newborn = self._newborn, None
        served = self.launch.rootfs is not None and self.launch.rootfs.driver == FUSE
        if newborn is not None and not newborn.suits(self.launch, self.spec):
            newborn.end()
            newborn = None
        tree = self._serve() if served else -1  # by a process that is none of the container's
        if newborn is None and "pid" in self.spec.namespaces and not init.staged(self.spec):
            enter_pid_namespace(self.spec.namespaces["pid"])
        process = self.spec.process
        self.child = Child(
            process.terminal, self.launch.open_stdin, process.args[0] if process.args else "pause"
        )
        self.child.between = between
        who = hooks.identity(self.launch.id, self.launch.state_dir, self.spec)
        self.child.attendant = Attendant(self.spec, who)
        made = group.create(self.spec.cgroup, self.spec.resources)
        self._grouped = bool(made)
        if not made:  # an ordinary user's, to whom none is delegated, and who has no newborn
            self.spec = self.spec._replace(cgroup="")
        if self.spec.uids:
            ownership.hand_over(self.spec)
        early = init.early(self.spec)
        if newborn is not None:
            self.child.be(newborn)
            self._read_filter()
            if early:
                newborn.confine(self.filter)
            else:  # hooks
                newborn.rejoin()
        else:
            self._read_filter()
            birth = init.Birth(
                self.launch.id, self.spec, self.launch.rootfs, self.child.stdio,
                bundle=self.launch.state_dir, tree=tree,
                filter=(lambda _: self.filter) if early else None,
            )  # fmt: skip
            try:
                self.child.fork(lambda sync: init.become_init(birth, sync))
            finally:
                if tree >= 0:
                    os.close(tree)

    def _read_filter(self) -> None:
        if self.spec.seccomp and self.filter is None:
            profile = self._whole().spec["linux"]["seccomp"]
            self.filter = seccomp.filter_for(profile, self._cache)

    def _serve(self) -> int:
        from dockyard.node.runtime import rootfs

        assert self.launch.rootfs is not None
        if "mount" not in self.spec.namespaces:
            raise Unsupported("rootfs: fuse-overlayfs: not implemented for a container without a "
                              "mount namespace; use --storage-driver native")  # fmt: skip
        if "user" in self.spec.namespaces:
            raise Unsupported("rootfs: fuse-overlayfs shows no shifted ids: not implemented for "
                              "user namespaces; use --storage-driver native")  # fmt: skip
        return rootfs.serve(self.launch.rootfs)

    def _begin_log(self) -> None:
        """Whoever reads it finds it from the beginning."""
        if self.launch.log is not None:
            LogWriter(self.launch.log, wall).close()

    def _unmake(self) -> None:
        if self._listener is not None:
            connection.unlink(wire.socket_path(self.launch.run_dir))
            self._listener.close()
        if self.child is not None:
            self.child.abandon()
            if self.child.pid:
                _see_end(self.child.pid)
        if self._grouped:
            group.remove(self.spec.cgroup)
        if tree := hosttree.path_of(self.spec):
            hosttree.remove(tree)
        if self.spec.hooks:
            from dockyard.node.runtime import afterwards

            afterwards.run(self.launch.run_dir)

    def _whole(self) -> Launch:
        """With its document."""
        return launchmessage.unpack(self._packed)[0] if self._packed else self.launch


def _see_end(pid: int) -> None:
    """Of a child of this process or of its parent, which reaps it then."""
    with contexts.suppress(ProcessLookupError):
        watched = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(watched, select.POLLIN)
            poll.poll()
        finally:
            os.close(watched)
    with contexts.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def refuse(creator: Plain, error: BaseException) -> None:
    """Tell whoever asked why there is no container."""
    known = isinstance(error, (DockyardError, OSError))
    text = str(error) if known else f"{type(error).__name__}: {error}"
    code = error.exit_code if isinstance(error, StartFailed) else 125
    with contexts.suppress(OSError):  # it has gone
        creator.sendall(wire.control({"error": text, "code": code}))

"""Turns wishes about containers into containers: the one door of this room. Synchronous.

A library: a command, the daemon and the agent each make their own on the same data root. What they
share is in node.db; a container's life is looked after by its monitor, so that it does not matter
which of them asks. Each change of a container is made under its lock file. Safe for threads where
the runtime is.
"""

from __future__ import annotations

import os

from dockyard.base.aio import now
from dockyard.base.errors import Conflict
from dockyard.base.later import Later
from dockyard.base.linux import signals
from dockyard.base.linux.overlay import NATIVE
from dockyard.interfaces.ociruntime import Runtime, Stream
from dockyard.node.engine.config import RUNNING, Container, ContainerConfig
from dockyard.node.engine.database import Database
from dockyard.node.engine.event import Event
from dockyard.node.engine.locks import Locks
from dockyard.node.engine.mounts import Volumes
from dockyard.node.engine.network import Network
from dockyard.node.engine.parts import Parts
from dockyard.node.engine.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.node.engine import (
        commandstream,
        commit,
        create,
        diff,
        end,
        events,
        export,
        health,
        inspect,
        logs,
        machine,
        processes,
        recover,
        refresh,
        remove,
        rename,
        restart,
        roots,
        run,
        start,
        top,
        tree,
        update,
        usage,
    )
    from dockyard.node.engine.archive import copy

    Changes = list[diff.Change]
else:  # a command needs one of them
    commandstream, commit, create, diff, end, events, export, health, inspect, logs = (
        Later(__package__, name)
        for name in ("commandstream", "commit", "create", "diff", "end", "events", "export",
                     "health", "inspect", "logs")
    )  # fmt: skip
    processes, recover, refresh, remove, rename, restart, roots, run, start, top, tree, update = (
        Later(__package__, name)
        for name in ("processes", "recover", "refresh", "remove", "rename", "restart", "roots",
                     "run", "start", "top", "tree", "update")
    )  # fmt: skip
    usage, machine = Later(__package__, "usage"), Later(__package__, "machine")
    copy = Later(f"{__package__}.archive", "copy")

Containers = list[Container]


class Engine:
    """Containers of one data root. Making one touches nothing.

    ``reference`` is a container's id, the beginning of one that no other has, or its name. Every
    call raises :class:`NotFound` for an unknown one.
    """

    def __init__(
        self,
        data_root: str,
        runtime: Runtime,
        network: Network,
        images: roots.Images,
        volumes: Volumes,
        *,
        chance: Callable[[int], int] | None = None,
        clock: Callable[[], float] = now.wall,
        aftermath: tuple[str, ...] = (),
    ) -> None:
        self.places = Places(data_root)
        self._parts = Parts(
            places=self.places,
            database=Database(data_root),
            locks=Locks(self.places),
            runtime=runtime,
            network=network,
            images=images,
            volumes=volumes,
            chance=chance or _chance,
            clock=clock,
            aftermath=aftermath,
        )

    # knowing

    def find(self, reference: str) -> Container:
        """A container, as it is now."""
        return refresh.find(self._parts, reference)

    def list(self, keep: Callable[[Container], bool] | None = None) -> Containers:
        """Every container, the newest first, as it is now; those that ``keep`` lets through, who
        is asked of each as it was last known."""
        known = self._parts.database.all()
        kept = [each for each in known if keep is None or keep(each)]
        return refresh.refresh_all(self._parts, kept)

    def inspect(self, reference: str) -> dict[str, Any]:
        """A container in the JSON shape of Docker's API."""
        return inspect.describe(self.find(reference), self._parts)

    def health(self, reference: str) -> str:
        """``starting``, ``healthy`` or ``unhealthy``; empty for one that has no check."""
        container = self.find(reference)
        said = health.read(self._parts, container) if container.config.health else None
        return str(said["Status"]) if said else ""

    def usage(self, reference: str) -> usage.Sample:
        """What a container has used up to now; nothing where it does not run."""
        return usage.sample(self._parts, self.find(reference))

    def size(self, reference: str) -> int:
        """Bytes on disk of what it has changed of its root."""
        return self._changed(self.find(reference))

    def sizes(self, reference: str) -> tuple[int, int]:
        """That, and the bytes of its whole root."""
        container = self.find(reference)
        layers = roots.layers_of(self._parts.images, container.image_id, container.config.rootfs)
        own = self._changed(container)
        return own, own + sum(map(tree.size, layers))

    def _changed(self, container: Container) -> int:
        upper = self.places.upper(container.id)
        if container.driver != NATIVE:
            return tree.size(upper)
        return tree.size_of(upper, diff.of(self._parts, container))

    def top(self, reference: str, arguments: tuple[str, ...] = ()) -> top.Processes:
        """Its processes, as ps(1) shows them with these arguments."""
        return top.top(self._parts, reference, arguments)

    def diff(self, reference: str) -> Changes:
        """What it has changed of its root."""
        return diff.diff(self._parts, reference)

    def export(self, reference: str) -> Iterator[bytes]:
        """Its root as a tar stream, without volumes."""
        return export.export(self._parts, reference)

    def commit(
        self,
        reference: str,
        name: str,
        change: Callable[[ImageConfig], ImageConfig],
        *,
        author: str = "",
        comment: str = "",
        pause: bool = True,
    ) -> str:
        """An image of what a container has changed: its id. ``change`` has the last word on its
        configuration."""
        return commit.commit(self._parts, reference, name, change, author=author, comment=comment,
                             pause=pause)  # fmt: skip

    def look(self, reference: str, path: str) -> copy.PathStat:
        """What a container, running or not, has at a path."""
        return copy.look(self._parts, reference, path)

    def read_archive(self, reference: str, path: str) -> Iterator[bytes]:
        """A path of a container as a tar stream."""
        return copy.read(self._parts, reference, path)

    def write_archive(
        self,
        reference: str,
        path: str,
        chunks: Iterable[bytes],
        *,
        rename: tuple[bytes, bytes] | None = None,
        archive: bool = False,
    ) -> int:
        """Lay a tar stream below a folder of a container; see :mod:`.archive.copy`."""
        return copy.write(self._parts, reference, path, chunks, rename=rename, archive=archive)

    def events(self, *, since: float = 0.0, until: float | None = None) -> Iterator[Event]:
        """What has happened since then, and what happens until then; None: for ever.

        Without ``since`` only what happens from now on.
        """
        return events.follow(self._parts, since, until)

    def logs(
        self,
        reference: str,
        *,
        tail: int | None = None,
        since: float = 0.0,
        until: float = 0.0,
        follow: bool = False,
    ) -> Iterator[logs.Entry]:
        """What a container has printed, and prints until it ends. Only of a json-file log."""
        container = self.find(reference)
        run, state = self.places.run(container.id), self.places.state(container.id)
        runtime = self._parts.runtime

        def ended(seconds: float) -> bool:
            known = runtime.wait(run, state, seconds) is not None
            return known or runtime.state(run).status not in ("running", "paused")

        path = container.config.log.path or self.places.log(container.id)
        return logs.read(path, tail=tail, since=since, until=until, ended=ended if follow else None)

    # making and removing

    def create(self, config: ContainerConfig, *, name: str = "", owner: str = "cli") -> Container:
        """A container that does not run yet. Raises; then nothing of it is left."""
        return create.create(self._parts, config, name, owner)

    def run(
        self,
        config: ContainerConfig,
        *,
        name: str = "",
        owner: str = "cli",
        attach: bool = False,
    ) -> tuple[Container, Stream | None]:
        """Create and start as one change: what is cut off between leaves nothing.

        Whoever attaches to a container that has ``auto_remove`` removes it; the monitor of
        another does. Raises :class:`StartFailed`; then one that has it is gone, and another
        remains as made.
        """
        return run.run(self._parts, config, name, owner, attach)

    def start(self, reference: str, *, attach: bool = False) -> Stream | None:
        """Run a container that does not; its streams, if asked for. One that runs is left alone.

        Raises :class:`StartFailed` with the exit code that a shell would give.
        """
        return start.start(self._parts, reference, attach=attach)

    def restart(self, reference: str, seconds: float | None = None, *, number: int = 0) -> None:
        """Stop a container (as :meth:`stop` does) and start it."""
        end.stop(self._parts, reference, seconds, number)
        start.start(self._parts, reference, attach=False)
        self._parts.tell(self.find(reference), "restart")

    def after_exit(self, reference: str) -> None:
        """For a monitor: its container has ended. It vanishes, or starts again, if it is to."""
        restart.after_exit(self._parts, reference)

    def update(self, reference: str, wishes: update.Wishes) -> None:
        """Other limits, another restart policy."""
        update.update(self._parts, reference, wishes)

    def rename(self, reference: str, name: str) -> None:
        """Give a container another name."""
        rename.rename(self._parts, reference, name)

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and all that is its own; with ``volumes``, those nobody named."""
        remove.remove(self._parts, reference, force=force, volumes=volumes)

    def reconcile(self) -> None:
        """For a daemon that starts: what a crash has left becomes whole, or nothing."""
        recover.reconcile(self._parts)

    def tidy(self, owner: str) -> None:
        """For a command: end what another one left in the middle, and collect an owner's
        containers that were to be removed with their end."""
        recover.finish(self._parts)
        recover.collect(self._parts, owner)
        recover.resume(self._parts, owner)

    # with the machine

    def starting(self, owner: str) -> Containers:
        """An owner's containers that start with the machine, and do not run."""
        return machine.starting(self._parts, owner)

    def start_with_machine(self, container: Container) -> machine.Outcome:
        """Start one of those."""
        return machine.start_one(self._parts, container)

    def running(self, owner: str) -> Containers:
        """An owner's containers that run, or are about to."""
        return machine.running(self._parts, owner)

    def stop_with_machine(self, container: Container, seconds: float | None) -> machine.Outcome:
        """End one of those; its policy starts it again with the machine."""
        return machine.stop_one(self._parts, container, seconds)

    # talking to a running one

    def attach(self, reference: str) -> Stream:
        """The streams of a running container."""
        return self._parts.runtime.attach(self.places.run(self._running(reference).id))

    def exec(self, reference: str, command: processes.Command, *, detach: bool = False) -> Stream:
        """Run a further command in a container. Raises :class:`StartFailed`."""
        container = self._running(reference)
        process = processes.describe(command, container)
        stream = self._parts.runtime.exec(
            self.places.run(container.id), process, stdin=command.stdin, detach=detach
        )
        return commandstream.told(self._parts, container, command.args, stream)

    def resize(self, reference: str, rows: int, columns: int) -> None:
        """Tell a container's terminal its size."""
        self._parts.runtime.resize(self.places.run(self._running(reference).id), rows, columns)

    def reopen_log(self, reference: str) -> None:
        """Somebody has moved the log away."""
        self._parts.runtime.reopen_log(self.places.run(self._running(reference).id))

    def _running(self, reference: str) -> Container:
        container = self.find(reference)
        if container.status != RUNNING:
            is_so = {
                "paused": "is paused, unpause the container first",
                "restarting": "is restarting, wait until the container is running",
            }
            raise Conflict(
                f"container {container.id} {is_so.get(container.status, 'is not running')}"
            )
        return container

    # ending

    def kill(self, reference: str, number: int = signals.SIGKILL) -> None:
        """Send a signal to a container's first process."""
        end.kill(self._parts, reference, number)

    def stop(self, reference: str, seconds: float | None = None, *, number: int = 0) -> None:
        """Ask a container to end, and end it when it takes longer than its grace.

        ``seconds`` None: the container's own grace; less than 0: for ever. ``number``: a signal
        instead of its own.
        """
        end.stop(self._parts, reference, seconds, number)

    def wait(self, reference: str, seconds: float | None = None) -> Container | None:
        """Return when a container has ended; None when it has not after that time."""
        return end.wait(self._parts, reference, seconds)

    def pause(self, reference: str) -> None:
        """Freeze every process of a container."""
        end.pause(self._parts, reference)

    def unpause(self, reference: str) -> None:
        """Let a frozen container go on."""
        end.resume(self._parts, reference)


def _chance(below: int) -> int:
    """From the kernel: the module `random` takes longer to load than a name is worth."""
    return int.from_bytes(os.urandom(8), "little") % below

"""Turns wishes about containers into containers: the one door of this room. Synchronous.

A library: a command, the daemon and the agent each make their own on the same data root. What they
share is in node.db; a container's life is looked after by its monitor, so that it does not matter
which of them asks. Each change of a container is made under its lock file. Safe for threads where
the runtime is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dockyard.base.aio import now
from dockyard.base.errors import Conflict
from dockyard.base.later import Later
from dockyard.interfaces.ociruntime import Runtime, Stream
from dockyard.node.engine.config import RUNNING, Container, ContainerConfig
from dockyard.node.engine.database import Database
from dockyard.node.engine.locks import Locks
from dockyard.node.engine.mounts import Volumes
from dockyard.node.engine.network import Network
from dockyard.node.engine.parts import Parts
from dockyard.node.engine.places import Places

if TYPE_CHECKING:
    from dockyard.node.engine import (
        create,
        end,
        inspect,
        logs,
        processes,
        recover,
        refresh,
        remove,
        rename,
        roots,
        run,
        start,
    )
else:  # a command needs one of them
    create, end, inspect, logs, processes, recover, refresh, remove, rename, run, start = (
        Later(__package__, name)
        for name in ("create", "end", "inspect", "logs", "processes", "recover", "refresh",
                     "remove", "rename", "run", "start")
    )  # fmt: skip

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
        )

    # knowing

    def find(self, reference: str) -> Container:
        """A container, as it is now."""
        return refresh.find(self._parts, reference)

    def list(self, keep: Callable[[Container], bool] | None = None) -> Containers:
        """Every container, the newest first, as it is now; those that ``keep`` lets through, who
        is asked of each as it was last known."""
        known = self._parts.database.all()
        return [refresh.refresh(self._parts, each) for each in known if keep is None or keep(each)]

    def inspect(self, reference: str) -> dict[str, Any]:
        """A container in the JSON shape of Docker's API."""
        return inspect.describe(self.find(reference), self._parts)

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
        on_exit: Callable[[str], tuple[str, ...]] = lambda _: (),
    ) -> tuple[Container, Stream | None]:
        """Create and start as one change: what is cut off between leaves nothing.

        ``on_exit`` makes a command of the new id. Raises :class:`StartFailed`; then a container
        that has ``auto_remove`` is gone, and another remains as made.
        """
        return run.run(self._parts, config, name, owner, attach, on_exit)

    def start(
        self, reference: str, *, attach: bool = False, on_exit: tuple[str, ...] = ()
    ) -> Stream | None:
        """Run a container that does not; its streams, if asked for. One that runs is left alone.

        ``on_exit`` is a command that its monitor executes when it has ended. Raises
        :class:`StartFailed` with the exit code that a shell would give.
        """
        return start.start(self._parts, reference, attach=attach, on_exit=on_exit)

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

    # talking to a running one

    def attach(self, reference: str) -> Stream:
        """The streams of a running container."""
        return self._parts.runtime.attach(self.places.run(self._running(reference).id))

    def exec(self, reference: str, command: processes.Command, *, detach: bool = False) -> Stream:
        """Run a further command in a container. Raises :class:`StartFailed`."""
        container = self._running(reference)
        process = processes.describe(command, container)
        return self._parts.runtime.exec(
            self.places.run(container.id), process, stdin=command.stdin, detach=detach
        )

    def resize(self, reference: str, rows: int, columns: int) -> None:
        """Tell a container's terminal its size."""
        self._parts.runtime.resize(self.places.run(self._running(reference).id), rows, columns)

    def reopen_log(self, reference: str) -> None:
        """Somebody has moved the log away."""
        self._parts.runtime.reopen_log(self.places.run(self._running(reference).id))

    def _running(self, reference: str) -> Container:
        container = self.find(reference)
        if container.status != RUNNING:
            is_so = (
                "is paused, unpause the container first" if container.alive else "is not running"
            )
            raise Conflict(f"container {container.id} {is_so}")
        return container

    # ending

    def kill(self, reference: str, number: int = signal.SIGKILL) -> None:
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

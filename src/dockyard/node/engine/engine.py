"""Turns wishes about containers into containers: the one door of this room. Synchronous.

A library: a command, the daemon and the agent each make their own on the same data root. What they
share is in node.db; a container's life is looked after by its monitor, so that it does not matter
which of them asks. Each change of a container is made under its lock file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator

from dockyard.base.aio import now
from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound, Unavailable
from dockyard.base.oci.users import resolve_user
from dockyard.interfaces.ociruntime import Launch, Log, Overlay, Runtime, StartFailed, Stream
from dockyard.node.engine import etcfiles, layerfile, logs, processes, roots, spec
from dockyard.node.engine.config import Container, ContainerConfig
from dockyard.node.engine.database import Database
from dockyard.node.engine.mounts import Volumes, resolve_mounts
from dockyard.node.engine.names import random_name
from dockyard.node.engine.network import Attachment, Network
from dockyard.node.engine.places import Places

NAMESPACE_FILES = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid", "cgroup": "cgroup"}
KILLED = 137


class Engine:
    """Containers of one data root."""

    def __init__(
        self,
        data_root: str,
        runtime: Runtime,
        network: Network,
        images: roots.Images,
        volumes: Volumes,
        *,
        chance: random.Random | None = None,
        clock: Callable[[], float] = now.wall,
    ) -> None:
        self.places = Places(data_root)
        self._database = Database(data_root)
        self._runtime, self._network = runtime, network
        self._images, self._volumes = images, volumes
        self._chance = chance or random.SystemRandom()
        self._clock = clock

    # knowing

    def find(self, reference: str) -> Container:
        """A container by id, the beginning of one, or name; as it is now."""
        return self._refresh(self._database.find(reference))

    def list(self) -> list[Container]:
        """Every container, the newest first; as it is now."""
        return [self._refresh(container) for container in self._database.all()]

    def _refresh(self, container: Container) -> Container:
        """What the database says may be old: the monitor knows better, or is gone."""
        if container.status not in ("running", "paused"):
            return container
        if self._runtime.state(self.places.run(container.id)).status == "running":
            return container
        with self._lock(container.id):
            try:
                latest = self._database.find(container.id)
            except NotFound:
                return container._replace(status="exited", pid=0)
            if latest.status in ("running", "paused"):
                return self._record_exit(latest)
            return latest

    def _record_exit(self, container: Container) -> Container:
        found = self._runtime.exit(self.places.state(container.id))
        self._detach(container)
        if found is None:  # its monitor was killed, and it with it: nobody saw the end
            self._runtime.delete(self.places.run(container.id), self.places.cgroup(container.id))
        ended = container._replace(
            status="exited",
            pid=0,
            exit_code=found.code if found else KILLED,
            oom_killed=found.oom_killed if found else False,
            finished=found.finished if found else self._clock(),
        )
        self._database.update(ended)
        return ended

    # making

    def create(self, config: ContainerConfig, *, name: str = "", owner: str = "cli") -> Container:
        """A container that does not run yet. Raises; then nothing of it is left."""
        container_id = secrets.token_hex(32)
        if name and not _is_name(name):
            raise Invalid(
                f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
        root = roots.find_root(self._images, config.image, config.rootfs, container_id)
        try:
            args = spec.program(config, root.image)
            config = config._replace(
                mounts=resolve_mounts(config.mounts, root.image, self._volumes)
            )
            container = Container(
                id=container_id,
                name=name or self._free_name(),
                owner=owner,
                created=self._clock(),
                status="created",
                config=config,
                image_id=root.image_id,
                args=args,
            )
            for folder in ("upper", "work", "rootfs"):
                os.makedirs(os.path.join(self.places.state(container_id), folder), 0o700)
            # the mode of the container's own "/"
            os.chmod(os.path.join(self.places.state(container_id), "upper"), 0o755)  # noqa: S103
            self._database.insert(container)
        except BaseException:
            self._images.release(container_id)
            shutil.rmtree(self.places.state(container_id), ignore_errors=True)
            raise
        return container

    def _free_name(self) -> str:
        taken = {container.name for container in self._database.all()}
        while (name := random_name(self._chance)) in taken:
            name = f"{random_name(self._chance)}{self._chance.randrange(10)}"
            if name not in taken:
                break
        return name

    def start(
        self, reference: str, *, attach: bool = False, on_exit: tuple[str, ...] = ()
    ) -> Stream | None:
        """Run a container that does not; its streams, if asked for.

        Raises :class:`StartFailed` with the exit code that a shell would give.
        """
        container = self.find(reference)
        with self._lock(container.id):
            container = self._database.find(container.id)
            if container.status in ("running", "paused"):
                return None
            try:
                return self._start(container, attach, on_exit)
            except DockyardError as error:
                self._runtime.delete(
                    self.places.run(container.id), self.places.cgroup(container.id)
                )
                self._detach(container)
                code = error.exit_code if isinstance(error, StartFailed) else 125
                self._database.update(
                    container._replace(status="created", error=str(error), exit_code=code, pid=0)
                )
                raise

    def _start(self, container: Container, attach: bool, on_exit: tuple[str, ...]) -> Stream | None:
        launch = self._launch(container, on_exit)
        pid, stream = self._runtime.create(launch, attach=attach)
        attached = Attachment("", "", ())
        if _has_own_network(container.config):
            config = container.config
            attached = self._network.attach(container.id, pid, config.network, config.ports)
        self._write_etc(container, attached.address)
        self._runtime.start(launch.run_dir)
        self._database.update(
            container._replace(
                status="running",
                pid=pid,
                started=self._clock(),
                finished=0.0,
                exit_code=0,
                oom_killed=False,
                error="",
                address=attached.address,
                ports=attached.ports,
            )
        )
        return stream

    def _launch(self, container: Container, on_exit: tuple[str, ...]) -> Launch:
        config, state = container.config, self.places.state(container.id)
        root = roots.find_root(self._images, config.image, config.rootfs, container.id)
        files = (layerfile.read_file(root.layers, f"/etc/{name}") for name in ("passwd", "group"))
        user = resolve_user(config.user or (root.image.user if root.image else ""), *files)
        if config.own_etc:
            self._write_etc(container, "")
        place = spec.Place(
            root=os.path.join(state, "rootfs"),
            cgroup=self.places.cgroup(container.id),
            binds=tuple(self._binds(container)),
            namespaces=tuple(self._joined(config)),
        )
        log = config.log
        return Launch(
            id=container.id,
            spec=spec.build_spec(config, root.image, user, container.id, place),
            state_dir=state,
            run_dir=self.places.run(container.id),
            rootfs=None
            if config.pause
            else Overlay(root.layers, f"{state}/upper", f"{state}/work"),
            log=Log(
                log.path or self.places.log(container.id), log.kind, log.max_bytes, log.max_files
            ),
            open_stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            on_exit=on_exit,
        )

    def _binds(self, container: Container) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        for mount in container.config.mounts:
            if mount.kind == "tmpfs":
                continue
            source = self._volumes.path(mount.source) if mount.kind == "volume" else mount.source
            mode = ("ro",) if mount.read_only else ()
            yield source, mount.target, ("rbind", "rprivate", *mode, *mount.options)
        if container.config.own_etc and not container.config.pause:
            for name in etcfiles.TARGETS:
                source = os.path.join(self.places.state(container.id), name)
                yield source, f"/etc/{name}", ("rbind", "rprivate")

    def _joined(self, config: ContainerConfig) -> Iterator[tuple[str, str]]:
        wanted = dict(config.join)
        if config.network.startswith("container:"):
            wanted["network"] = config.network.removeprefix("container:")
        for kind, other in wanted.items():
            if other == "host":
                continue
            container = self.find(other)
            if container.status != "running":
                raise Conflict(f"cannot join namespaces of a non running container: {other}")
            yield kind, f"/proc/{container.pid}/ns/{NAMESPACE_FILES[kind]}"

    def _write_etc(self, container: Container, address: str) -> None:
        config = container.config
        if not config.own_etc or config.pause:
            return
        hostname = config.hostname or container.id[: spec.SHORT]
        try:
            with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
                of_host = file.read()
        except FileNotFoundError:
            of_host = ""
        etcfiles.write(
            self.places.state(container.id),
            etcfiles.hosts(hostname, address, config.extra_hosts),
            hostname,
            etcfiles.resolv_conf(of_host, config.dns),
        )

    def _detach(self, container: Container) -> None:
        if _has_own_network(container.config):
            self._network.detach(container.id)

    # talking to a running one

    def attach(self, reference: str) -> Stream:
        """The streams of a running container."""
        return self._runtime.attach(self.places.run(self._running(reference).id))

    def exec(self, reference: str, command: processes.Command, *, detach: bool = False) -> Stream:
        """Run a further command in a container."""
        container = self._running(reference)
        root = roots.find_root(
            self._images, container.config.image, container.config.rootfs, container.id
        )
        process = processes.describe(command, container, root)
        return self._runtime.exec(
            self.places.run(container.id), process, stdin=command.stdin, detach=detach
        )

    def resize(self, reference: str, rows: int, columns: int) -> None:
        """Tell a container's terminal its size."""
        self._runtime.resize(self.places.run(self._running(reference).id), rows, columns)

    def logs(
        self,
        reference: str,
        *,
        tail: int | None = None,
        since: float = 0.0,
        until: float = 0.0,
        follow: bool = False,
    ) -> Iterator[logs.Entry]:
        """What a container has printed, and prints until it ends."""
        container = self.find(reference)

        def running() -> bool:
            return self._runtime.state(self.places.run(container.id)).status == "running"

        path = container.config.log.path or self.places.log(container.id)
        return logs.read(
            path, tail=tail, since=since, until=until, follow=running if follow else None
        )

    def _running(self, reference: str) -> Container:
        container = self.find(reference)
        if container.status != "running":
            raise Conflict(f"container {container.id} is not running")
        return container

    # ending

    def kill(self, reference: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a container's first process."""
        container = self.find(reference)
        if container.status != "running":
            raise Conflict(f"cannot kill container: {reference}: container {container.id} is not "
                           "running")  # fmt: skip
        self._runtime.signal(self.places.run(container.id), number)

    def stop(self, reference: str, seconds: float | None = None) -> None:
        """Ask a container to end, and end it when it takes longer than its grace."""
        container = self.find(reference)
        if container.status != "running":
            return
        name = container.config.stop_signal or "SIGTERM"
        grace = container.config.stop_timeout if seconds is None else seconds
        run = self.places.run(container.id)
        with contextlib.suppress(StartFailed, Unavailable):  # it ended meanwhile
            self._runtime.signal(run, signal_number(name))
            if self._runtime.wait(run, self.places.state(container.id), grace) is None:
                self._runtime.signal(run, signal.SIGKILL)
                self._runtime.wait(run, self.places.state(container.id), None)
        self.find(container.id)

    def wait(self, reference: str, seconds: float | None = None) -> Container | None:
        """Return when a container has ended; None when it has not after that time."""
        container = self.find(reference)
        if container.status == "running":
            run, state = self.places.run(container.id), self.places.state(container.id)
            if self._runtime.wait(run, state, seconds) is None and self._alive(run):
                return None
        return self.find(container.id)

    def _alive(self, run: str) -> bool:
        return self._runtime.state(run).status == "running"

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and all that is its own."""
        container = self.find(reference)
        if container.status in ("running", "paused") and not force:
            raise Conflict(
                f'cannot remove container "/{container.name}": container is running: stop the '
                "container before removing or force remove"
            )
        with self._lock(container.id):
            self._runtime.delete(self.places.run(container.id), self.places.cgroup(container.id))
            self._detach(container)
            if volumes:
                for mount in container.config.mounts:
                    if mount.kind == "volume" and self._volumes.is_anonymous(mount.source):
                        self._volumes.remove(mount.source)
            shutil.rmtree(self.places.state(container.id), ignore_errors=True)
            self._images.release(container.id)
            self._database.delete(container.id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._lock_path(container.id))

    def reconcile(self) -> None:
        """Remove what a crash between two steps has left: folders that no row names."""
        known = {container.id for container in self.list()}
        folder = os.path.join(self.places.data_root, "containers")
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(folder):
                if len(name) == 64 and name not in known and not self._locked(name):
                    self._runtime.delete(self.places.run(name), self.places.cgroup(name))
                    self._network.detach(name)
                    self._images.release(name)
                    shutil.rmtree(os.path.join(folder, name), ignore_errors=True)

    # locks

    def _lock_path(self, container_id: str) -> str:
        return os.path.join(os.path.dirname(self.places.run(container_id)),
                            f"{container_id[:24]}.lock")  # fmt: skip

    @contextlib.contextmanager
    def _lock(self, container_id: str) -> Iterator[None]:
        """One change of a container at a time, over all processes: flock(2)."""
        descriptor = os.open(self._lock_path(container_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _locked(self, container_id: str) -> bool:
        return os.path.exists(self._lock_path(container_id))


def _has_own_network(config: ContainerConfig) -> bool:
    shared = config.network in ("none", "host") or config.network.startswith("container:")
    return not shared and "network" not in dict(config.join)


def signal_number(name: str) -> int:
    """``SIGTERM``, ``TERM`` or ``15``."""
    if name.isdecimal() and 0 < int(name) < signal.NSIG:
        return int(name)
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    try:
        return int(signal.Signals[full])
    except KeyError:
        raise Invalid(f"invalid signal: {name}") from None


def _is_name(name: str) -> bool:
    rest = name[1:].replace("_", "").replace(".", "").replace("-", "")
    return name.isascii() and name[0].isalnum() and (not rest or rest.isalnum()) and len(name) > 1

"""Rooms below the engine, kept in memory: what it asks of them is written down in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dockyard.base.errors import NotFound
from dockyard.interfaces.ociruntime import Exit, Launch, StartFailed, State
from dockyard.node.engine.config import PortSpec
from dockyard.node.engine.engine import Engine
from dockyard.node.engine.network import Attachment


class Crash(BaseException):
    """The process is gone: nothing after this line happens, not even what cleans up."""


class FakeRuntime:
    """Containers without processes. ``fail`` names calls that raise :class:`StartFailed`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.states: dict[str, State] = {}
        self.exits: dict[str, Exit] = {}
        self.fail: dict[str, StartFailed] = {}
        self.launched: list[Launch] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail:
            raise self.fail[name]

    def forks(self) -> bool:
        return True

    def create(self, launch: Launch, *, attach: bool = False) -> tuple[int, None]:
        self._called("create")
        self.launched.append(launch)
        self.exits.pop(launch.state_dir, None)
        self.states[launch.run_dir] = State("created", 4242)
        return 4242, None

    def start(self, run_dir: str) -> None:
        self._called("start")
        self.states[run_dir] = State("running", 4242, 1.0)

    def state(self, run_dir: str) -> State:
        return self.states.get(run_dir, State("stopped", 0))

    def states_of(self, run_dirs: Sequence[str]) -> list[State | None]:
        return [self.state(run_dir) for run_dir in run_dirs]

    def end(self, launch: Launch, code: int, finished: float = 5.0) -> None:
        """The program has ended, and its monitor wrote it down."""
        self.states.pop(launch.run_dir, None)
        self.exits[launch.state_dir] = Exit(code, False, finished)

    def signal(self, run_dir: str, number: int, *, everyone: bool = False) -> None:
        self.calls.append(f"signal {number}")

    def wait(self, run_dir: str, state_dir: str, seconds: float | None) -> Exit | None:
        return self.exits.get(state_dir)

    def exit(self, state_dir: str) -> Exit | None:
        return self.exits.get(state_dir)

    def delete(self, run_dir: str, cgroup: str, tree: str = "") -> None:
        self.calls.append("delete")
        self.states.pop(run_dir, None)

    def watch(self, run_dir: str, on_exit: tuple[str, ...]) -> None:
        self.calls.append(f"watch {' '.join(on_exit[:2])}".strip())

    def pause(self, cgroup: str) -> None:
        self.states = {key: value._replace(status="paused") for key, value in self.states.items()}

    def resume(self, cgroup: str) -> None:
        self.states = {key: value._replace(status="running") for key, value in self.states.items()}

    def attach(self, run_dir: str) -> Any:
        raise NotImplementedError

    exec = resize = reopen_log = update = attach


class FakeNetwork:
    """Addresses without links."""

    def __init__(self) -> None:
        self.connected: dict[str, int] = {}

    def attach(
        self,
        container_id: str,
        pid: int,
        network: str,
        ports: tuple[PortSpec, ...],
        address: str = "",
        mac: str = "",
    ) -> Attachment:
        self.connected[container_id] = pid
        chosen = tuple(port._replace(host_port=port.host_port or 32768) for port in ports)
        return Attachment("10.9.0.2", "10.9.0.1", chosen)

    def detach(self, container_id: str) -> None:
        self.connected.pop(container_id, None)


class NoImages:
    """A machine without images."""

    def resolve(self, reference: str) -> Any:
        raise NotFound(f"No such image: {reference}")

    def mount_layers(self, image: Any) -> list[str]:
        raise NotImplementedError

    def lease(self, image: Any, holder: str, *, lasting: bool) -> None:
        raise NotImplementedError

    def release(self, holder: str) -> None: ...

    def commit(self, *_: Any) -> str:
        raise NotImplementedError

    commit_root = commit


class FakeVolumes:
    """Names of volumes."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def create(self, name: str) -> None:
        self.names.add(name)

    def populate(self, name: str, layers: Sequence[str], path: str) -> None: ...

    def path(self, name: str) -> str:
        return f"/volumes/{name}"

    def remove(self, name: str) -> None:
        self.names.discard(name)


class Yard:
    """An engine on fakes, and the fakes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = str(folder / "tree")
        Path(self.root).mkdir(parents=True, exist_ok=True)
        self.runtime, self.network, self.volumes = FakeRuntime(), FakeNetwork(), FakeVolumes()
        self.now = 100.0
        self.engine = self.another()

    def another(self, images: Any = None) -> Engine:
        """A further engine on the same data: a command that is started later."""
        numbers = iter(range(1_000_000))
        return Engine(
            str(self.folder / "data"), self.runtime, self.network, images or NoImages(),
            self.volumes,
            chance=lambda below: next(numbers) % below, clock=lambda: self.now,
            aftermath=("aftermath",),
        )  # fmt: skip

    @property
    def folders(self) -> list[str]:
        """What the containers' folder holds."""
        place = self.folder / "data/containers"
        return sorted(path.name for path in place.iterdir()) if place.exists() else []


def crash_at(target: Any, name: str) -> Callable[[], None]:
    """Make a method end the process instead; what is returned gives it back."""
    before = getattr(target, name)

    def crash(*_: Any, **__: Mapping[str, Any]) -> None:
        raise Crash(name)

    setattr(target, name, crash)
    return lambda: setattr(target, name, before)

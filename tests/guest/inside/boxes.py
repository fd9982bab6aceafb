"""Containers inside the guest: the runtime alone, docker's default specification."""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.base.linux import bpf, cgroupfs
from dockyard.base.oci.defaultspec import default_spec
from dockyard.interfaces.ociruntime import Exit, Launch, StartFailed
from dockyard.node.runtime.launcher import ForkLauncher
from dockyard.node.runtime.local import LocalRuntime, wait_for_monitor

MEGABYTE = 1 << 20
GROUPS = Path("/sys/fs/cgroup")
PARENT = "dockyard/guest"
_numbers = itertools.count()


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Box:
    """One container. Its root is the guest's own: it has Python."""

    def __init__(self, args: list[str], change: Callable[[dict[str, Any]], object] | None,
                 **choices: Any) -> None:  # fmt: skip
        name = f"c{next(_numbers)}"
        self.folder = Path(tempfile.mkdtemp(prefix=name))
        self.cgroup = f"{PARENT}/{name}"
        self.runtime = LocalRuntime(ForkLauncher("/tmp/seccomp"))
        self.spec = default_spec(args=args, env=["PATH=/bin"], cwd="/", root=str(ROOT),
                                 cgroup=self.cgroup, **choices)  # fmt: skip
        if change is not None:
            change(self.spec)
        self.launch = Launch(name, self.spec, str(self.folder), str(self.folder / "run"))
        self.pid = 0

    def start(self) -> "Box":
        self.pid, _ = self.runtime.create(self.launch)
        self.runtime.start(self.launch.run_dir)
        return self

    def run(self) -> Result:
        self.pid, stream = self.runtime.create(self.launch, attach=True)
        self.runtime.start(self.launch.run_dir)
        return collect(stream)

    def exec(self, *args: str) -> Result:
        process = {**self.spec["process"], "args": list(args)}
        return collect(self.runtime.exec(self.launch.run_dir, process, stdin=False))

    def wait(self, seconds: float = 60) -> Exit:
        found = self.runtime.wait(self.launch.run_dir, self.launch.state_dir, seconds)
        assert found is not None, "it still runs"
        return found

    def file(self, name: str) -> str:
        return (GROUPS / self.cgroup / name).read_text().strip()

    def update(self, **resources: Any) -> None:
        self.runtime.update(self.cgroup, resources)

    def status(self) -> str:
        return self.runtime.state(self.launch.run_dir).status

    def refusal(self) -> str:
        """The error of a container that must not start; nothing of it is left."""
        try:
            self.start()
        except StartFailed as error:
            assert not left(self.cgroup), left(self.cgroup)
            return str(error)
        raise AssertionError("it has started")


ROOT = Path("/tmp/root")


def left(cgroup: str) -> list[str]:
    """What is there of a group that should be gone."""
    return [place for place in cgroupfs.folders(cgroup) if Path(place).exists()]


@contextmanager
def box(*args: str, change: Any = None, **choices: Any) -> Iterator[Box]:
    """A container, and nothing of it afterwards."""
    found = Box(list(args), change, **choices)
    try:
        yield found
    finally:
        found.runtime.delete(found.launch.run_dir, found.cgroup)
        wait_for_monitor(found.launch.run_dir)
        assert not left(found.cgroup), left(found.cgroup)
        error = found.folder / "monitor.error"
        assert not error.exists(), error.read_text()


def sh(text: str, **choices: Any) -> Any:
    return box("sh", "-c", text, **choices)


def python(text: str, **choices: Any) -> Any:
    return box("python3", "-S", "-c", text, **choices)


def limits(**parts: Any) -> Callable[[dict[str, Any]], object]:
    return lambda spec: spec["linux"]["resources"].update(parts)


def collect(stream: Any) -> Result:
    parts = {1: b"", 2: b""}
    while (frame := stream.read()) is not None:
        parts[frame.stream] += frame.data
    code = stream.exit_code()
    stream.close()
    assert code is not None
    return Result(code, parts[1].decode(errors="replace"), parts[2].decode(errors="replace"))


def prepare_v2() -> None:
    """Version 2 alone, as systemd mounts it by default."""
    assert os.system("mount -t cgroup2 cgroup2 /sys/fs/cgroup") == 0
    Path("/proc/sys/vm/nr_hugepages").write_text("16")
    prepare_root()


def prepare_root() -> None:
    """Containers live on a bind mount of the guest's own tree, read-only."""
    ROOT.mkdir(parents=True, exist_ok=True)
    assert os.system(f"mount --bind / {ROOT}") == 0
    Path("/tmp/seccomp").mkdir(exist_ok=True)


def until(check: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that the kernel, or a monitor, does on its own."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextmanager
def raises(kind: type[BaseException], text: str) -> Iterator[None]:
    """The block fails in this way, and says this."""
    try:
        yield
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")


def loop_device() -> tuple[int, int]:
    """A block device of 4 MB in memory; its numbers."""
    file = Path("/tmp/disk")
    if not file.exists():
        file.write_bytes(b"x" * (4 << 20))
        assert os.system(f"losetup /dev/loop0 {file}") == 0
    number = Path("/dev/loop0").stat().st_rdev
    return os.major(number), os.minor(number)


def writable_groups(spec: dict[str, Any]) -> None:
    """/sys/fs/cgroup may be written: the namespace is the container's own."""
    for mount in spec["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = ["nosuid", "noexec", "nodev"]


def programs(found: Box) -> int:
    """How many device filters its group has."""
    folder = os.open(GROUPS / found.cgroup, os.O_RDONLY)
    try:
        listed = bpf.device_programs(folder)
    finally:
        os.close(folder)
    for program in listed:
        os.close(program)
    return len(listed)

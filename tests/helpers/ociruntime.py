"""A runtime's command line under test, ours or a peer's: bundles, calls, and what is left."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OURS = str(Path(sys.executable).parent / "dockyard-oci")
CAPABILITIES = [
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT",
]  # fmt: skip
HARD = ["nosuid", "noexec", "nodev"]
# crun 1.8 refuses a machine with both cgroup versions; it gets a view without the second
PURE_V1 = 'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$0" "$@"'


def command(kind: str) -> list[str]:
    """How a runtime is called."""
    if kind == "crun" and Path("/sys/fs/cgroup/unified").is_dir():
        return ["unshare", "-m", "sh", "-c", PURE_V1, "crun"]
    return [OURS if kind == "dockyard-oci" else kind]


def present(*kinds: str) -> list[str]:
    """Ours, and the peers that this machine has."""
    return [kind for kind in kinds if kind == "dockyard-oci" or shutil.which(kind)]


def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    """One of ``mounts``."""
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def spec(root: Path, group: str, args: tuple[str, ...]) -> dict[str, Any]:
    """A container in namespaces of its own, written out: nothing of what is tested makes it."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {
                kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")
            },
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "hostname": "box",
        "mounts": [
            mount("/proc", "proc", "proc", *HARD),
            mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance",
                  "ptmxmode=0666", "mode=0620"),
            mount("/dev/shm", "tmpfs", "shm", *HARD, "mode=1777", "size=65536k"),
            mount("/sys", "sysfs", "sysfs", *HARD, "ro"),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", *HARD, "relatime", "ro"),
            mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777"),
        ],
        "linux": {
            "cgroupsPath": group,
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [
                {"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
        },
    }  # fmt: skip


class Oci:
    """A runtime with a root of its own; containers that it makes end with it."""

    def __init__(self, kind: str, folder: Path, tree: Path) -> None:
        self.kind, self.folder, self.tree = kind, folder, tree
        self.id = f"oci{secrets.token_hex(4)}"
        self.state_root = folder / "state"
        self._groups = f"/dockyard-tests-{self.id}"  # nobody else's: runtimes remove empty ones
        self.group = f"{self._groups}/{self.id}"
        self.spec = spec(tree, self.group, ("true",))
        self._made = {self.id}
        self._calls = 0

    # bundles

    def bundle(self, *args: str, name: str = "bundle", **process: Any) -> Path:
        """Write ``self.spec``, with another command and other members of the process."""
        if args:
            self.spec["process"]["args"] = list(args)
        self.spec["process"].update(process)
        place = self.folder / name
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text(json.dumps(self.spec))
        return place

    @property
    def linux(self) -> dict[str, Any]:
        linux: dict[str, Any] = self.spec["linux"]
        return linux

    def namespace(self, kind: str, path: str | None = None) -> None:
        """Add a namespace, or join one."""
        self.without(kind)
        entry = {"type": kind, **({"path": path} if path else {})}
        self.linux["namespaces"].append(entry)

    def without(self, *kinds: str) -> None:
        """Stay in the caller's namespaces."""
        kept = [entry for entry in self.linux["namespaces"] if entry["type"] not in kinds]
        self.linux["namespaces"] = kept

    def map_users(self, first: int = 100_000, size: int = 65536) -> None:
        """A user namespace."""
        self.namespace("user")
        ids = [{"containerID": 0, "hostID": first, "size": size}]
        self.linux.update(uidMappings=ids, gidMappings=ids)

    # calls

    def __call__(
        self, *args: str, check: bool = True, stdin: str = "", before: tuple[str, ...] = (),
        **more: Any,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """One command. Its output goes to files: a detached container keeps them open."""
        self._calls += 1
        out, err = self.folder / f"out{self._calls}", self.folder / f"err{self._calls}"
        given = self.folder / "stdin"
        given.write_text(stdin)
        with out.open("w") as stdout, err.open("w") as stderr, given.open() as input_:
            done = subprocess.run(
                [*command(self.kind), "--root", str(self.state_root), *before, *args],
                stdin=input_, stdout=stdout, stderr=stderr, timeout=30, **more,
            )  # fmt: skip
        found = subprocess.CompletedProcess(
            args, done.returncode, out.read_text(), err.read_text(errors="replace")
        )
        assert done.returncode == 0 or not check, (args, done.returncode, found.stderr)
        return found

    def run(self, *args: str, check: bool = True, **process: Any) -> Any:
        """A container from its making to its end."""
        return self("run", "-b", str(self.bundle(*args, **process)), self.id, check=check)

    def out(self, *args: str, **process: Any) -> str:
        """What a container prints."""
        return str(self.run(*args, **process).stdout)

    def refused(self, *args: str, **process: Any) -> str:
        """Why a container cannot be made or started; nothing of it is left."""
        done = self.run(*args, check=False, **process)
        assert done.returncode not in (0, 139), done.stdout
        assert "Traceback" not in done.stderr
        assert self("state", self.id, check=False).returncode != 0
        assert self.groups() == []
        return str(done.stderr)

    def up(self, *args: str, **process: Any) -> None:
        """A container that runs: ``sleep`` if nothing else is said."""
        place = self.bundle(*(args or ("sleep", "100")), **process)
        self("run", "-d", "-b", str(place), self.id)

    def create(self, *args: str, **process: Any) -> None:
        """A container that is not started."""
        place = self.bundle(*(args or ("sleep", "100")), **process)
        self("create", "-b", str(place), self.id)

    def exec(self, *args: str, check: bool = True, **more: Any) -> Any:
        """``exec``: flags, then the command after the id, which ``--`` stands for."""
        at = args.index("--") if "--" in args else 0
        return self("exec", *args[:at], self.id, *args[at + ("--" in args) :], check=check, **more)

    @contextlib.contextmanager
    def watched(self) -> Iterator[Callable[[], None]]:
        """Yields what waits for the end of the container's first process."""
        process = os.pidfd_open(self.pid())
        poll = select.poll()
        poll.register(process, select.POLLIN)

        def wait() -> None:
            assert poll.poll(20_000), "it has not ended"

        try:
            yield wait
        finally:
            os.close(process)

    def kill(self) -> None:
        """End the container, and wait for that."""
        with self.watched() as ended:
            self("kill", self.id, "KILL")
            ended()

    # what is there

    def state(self, name: str = "") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("state", name or self.id).stdout)
        return found

    def status(self) -> str:
        return str(self.state()["status"])

    def pid(self) -> int:
        return int(self.state()["pid"])

    def groups(self) -> list[str]:
        """Folders of the container's control group."""
        return [str(place) for place in Path("/sys/fs/cgroup").glob(f"*{self.group}")]

    def value(self, controller: str, file: str) -> str:
        """A file of the container's control group."""
        return Path(f"/sys/fs/cgroup/{controller}{self.group}/{file}").read_text().strip()

    def close(self) -> None:
        """End and remove every container of this root, and what it leaves."""
        if self.state_root.is_dir():
            for place in self.state_root.iterdir():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self("delete", "--force", place.name, check=False)
        for place in Path("/sys/fs/cgroup").glob(f"*{self._groups}"):
            for inner in sorted((place, *place.rglob("*")), reverse=True):
                if inner.is_dir():
                    with contextlib.suppress(OSError):
                        inner.rmdir()


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"
        select.select([], [], [], 0.005)


@contextlib.contextmanager
def runtime(kind: str, folder: Path, tree: Path) -> Iterator[Oci]:
    """One, closed at the end whatever happens."""
    found = Oci(kind, folder, tree)
    try:
        yield found
    finally:
        found.close()

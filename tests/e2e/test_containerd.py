"""containerd runs its containers through dockyard-oci: its own shim, `ctr run --runc-binary`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import ociimage

pytestmark = pytest.mark.root
OURS = str(Path(sys.executable).parent / "dockyard-oci")
RUNTIMES = [OURS, *(["/usr/sbin/runc"] if Path("/usr/sbin/runc").exists() else [])]
IMAGE = "localhost/busybox:test"
NAMESPACE = f"tests{os.getpid()}"
CONFIG = """
version = 2
root = "{folder}/root"
state = "{state}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{state}/containerd.sock"
[ttrpc]
  address = "{state}/containerd.sock.ttrpc"
"""


class Containerd:
    """One of its own, and the client."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder, self.socket = folder, state / "containerd.sock"
        (folder / "config.toml").write_text(CONFIG.format(folder=folder, state=state))
        self._log = (folder / "log").open("w")
        self._daemon = subprocess.Popen(
            ["containerd", "--config", folder / "config.toml"],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as peer:
            return peer.connect_ex(str(self.socket)) == 0

    def __call__(self, *words: str, check: bool = True) -> tuple[int, str, str]:
        done = subprocess.run(
            ["ctr", "--address", self.socket, "--namespace", NAMESPACE, *words],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0 or not check, (words, done.stderr)
        return done.returncode, done.stdout, done.stderr

    def close(self) -> None:
        for name in self("tasks", "ls", "-q", check=False)[1].split():
            self("tasks", "delete", "--force", name, check=False)
        for name in self("containers", "ls", "-q", check=False)[1].split():
            self("containers", "rm", name, check=False)
        self._daemon.terminate()
        self._daemon.wait(30)
        self._log.close()


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    if not shutil.which("containerd"):
        pytest.skip("containerd is not installed")
    folder = tmp_path_factory.mktemp("containerd")
    # a socket's path is at most 107 bytes, and a shim's has two hashes in it
    state = Path(f"/run/dockyard-tests-{os.getpid()}")
    found = None
    try:
        found = Containerd(folder, state)
        ociimage.write_archive(folder / "image.tar", IMAGE)
        found("images", "import", "--snapshotter", "native", str(folder / "image.tar"))
        yield found
    finally:
        if found is not None:
            found.close()
        shutil.rmtree(state, ignore_errors=True)
        for place in Path("/sys/fs/cgroup").glob(f"*/{NAMESPACE}"):
            place.rmdir()


@pytest.fixture(params=RUNTIMES, ids=lambda path: Path(path).name)
def flags(request: pytest.FixtureRequest) -> list[str]:
    return ["--snapshotter", "native", "--runc-binary", request.param]


def status(containerd: Containerd, name: str) -> str:
    rows = [line.split() for line in containerd("tasks", "ls")[1].splitlines()]
    return next(row[2] for row in rows if row[0] == name)


def test_run(containerd: Containerd, flags: list[str]) -> None:
    code, out, _ = containerd("run", "--rm", *flags, IMAGE, "one", "sh", "-c", "echo hi; exit 6",
                              check=False)  # fmt: skip
    assert (code, out) == (6, "hi\n")
    assert containerd("containers", "ls", "-q")[1] == ""


def test_a_program_that_is_not_there(containerd: Containerd, flags: list[str]) -> None:
    code, _, err = containerd("run", "--rm", *flags, IMAGE, "none", "nope", check=False)
    assert code == 1
    assert 'exec: "nope": executable file not found in $PATH' in err


def test_confinement(containerd: Containerd, flags: list[str]) -> None:
    script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; id -u; touch /x; echo $?"
    _, out, _ = containerd(
        "run",
        "--rm",
        *flags,
        "--seccomp",
        "--read-only",
        IMAGE,
        "two",
        "sh",
        "-c",
        script,
    )
    assert out.split() == ["NoNewPrivs:", "1", "Seccomp:", "2", "0", "1"]


def test_a_task(containerd: Containerd, flags: list[str]) -> None:
    limit = ("--memory-limit", "67108864")
    containerd("run", "-d", *flags, *limit, IMAGE, "three", "sleep", "100")
    file = Path(f"/sys/fs/cgroup/memory/{NAMESPACE}/three/memory.limit_in_bytes")
    assert file.read_text() == "67108864\n"
    assert status(containerd, "three") == "RUNNING"
    code, out, _ = containerd("tasks", "exec", "--exec-id", "e", "three", "sh", "-c",
                              "echo in; exit 4", check=False)  # fmt: skip
    assert (code, out) == (4, "in\n")
    code, _, err = containerd("tasks", "exec", "--exec-id", "f", "three", "nope", check=False)
    assert code == 1
    assert "not found" in err
    [pid] = [line.split()[0] for line in containerd("tasks", "ps", "three")[1].splitlines()[1:]]
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00100\x00"
    containerd("tasks", "pause", "three")
    assert status(containerd, "three") == "PAUSED"
    containerd("tasks", "resume", "three")
    assert status(containerd, "three") == "RUNNING"
    assert "three" in containerd("tasks", "metrics", "three")[1].split()
    containerd("tasks", "kill", "--signal", "SIGKILL", "three")
    deadline = time.monotonic() + 20
    while status(containerd, "three") != "STOPPED":
        assert time.monotonic() < deadline
    assert containerd("tasks", "rm", "three", check=False)[0] in (0, 1)
    containerd("containers", "rm", "three")
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{NAMESPACE}/three"))
    assert not Path(f"/proc/{pid}/exe").exists()

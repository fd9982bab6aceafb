"""The command line of an OCI runtime: the same tests for ours and for the peers that are there."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.oci.defaultspec import default_spec

pytestmark = pytest.mark.root

OURS = str(Path(sys.executable).parent / "dockyard-oci")
# crun 1.8 refuses hosts with both cgroup versions mounted
RUNTIMES = [OURS, *(name for name in ("runc",) if shutil.which(name))]


class Oci:
    """A runtime with a root of its own, and one bundle."""

    def __init__(self, program: str, folder: Path, lower: Path) -> None:
        self.program, self.folder, self.lower = program, folder, lower
        self.id = f"oci{secrets.token_hex(4)}"

    def bundle(self, *args: str, **process: Any) -> Path:
        place = self.folder / "bundle"
        place.mkdir(exist_ok=True)
        spec = default_spec(
            args=list(args),
            env=["PATH=/bin"],
            cwd="/",
            root=str(self.lower),
            cgroup=f"/dockyard-oci-tests/{self.id}",
        )
        spec["ociVersion"] = "1.0.2"  # what older peers know
        spec["root"]["readonly"] = True
        spec["process"].update(process)
        (place / "config.json").write_text(json.dumps(spec))
        return place

    def __call__(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # output to files: a container that is detached keeps them open
        out, err = self.folder / "out", self.folder / "err"
        with out.open("w") as stdout, err.open("w") as stderr:
            done = subprocess.run(
                [self.program, "--root", str(self.folder / "state"), *args],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, timeout=20,
            )  # fmt: skip
        assert done.returncode == 0 or not check, err.read_text()
        return subprocess.CompletedProcess(args, done.returncode, out.read_text(), err.read_text())

    def status(self) -> str:
        return str(json.loads(self("state", self.id).stdout)["status"])


@pytest.fixture(params=RUNTIMES, ids=lambda program: Path(program).name)
def oci(request: pytest.FixtureRequest, tmp_path: Path, lower: Path) -> Iterator[Oci]:
    found = Oci(request.param, tmp_path, lower)
    yield found
    found("delete", "--force", found.id, check=False)
    for group in Path("/sys/fs/cgroup").glob("*/dockyard-oci-tests"):
        if not any(group.glob("oci*")):
            group.rmdir()


def test_run(oci: Oci) -> None:
    place = oci.bundle("sh", "-c", "echo out; echo err >&2; exit 7")
    done = oci("run", "--bundle", str(place), oci.id, check=False)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "err\n" in done.stderr
    assert oci("state", oci.id, check=False).returncode != 0


def test_the_life_of_a_container(oci: Oci, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    place = oci.bundle("sleep", "60")
    oci("create", "--bundle", str(place), "--pid-file", str(pid_file), oci.id)
    found = json.loads(oci("state", oci.id).stdout)
    assert (found["id"], found["status"], found["bundle"]) == (oci.id, "created", str(place))
    assert int(pid_file.read_text()) == found["pid"]
    assert oci("create", "--bundle", str(place), oci.id, check=False).returncode != 0
    oci("start", oci.id)
    assert oci.status() == "running"
    assert oci("start", oci.id, check=False).returncode != 0
    assert oci("delete", oci.id, check=False).returncode != 0
    oci("kill", oci.id, "KILL")
    for _ in range(200):
        if oci.status() == "stopped":
            break
    assert oci.status() == "stopped"
    oci("delete", oci.id)
    assert oci("state", oci.id, check=False).returncode != 0


def test_exec(oci: Oci) -> None:
    oci("run", "--detach", "--bundle", str(oci.bundle("sleep", "60")), oci.id)
    done = oci("exec", "--env", "A=b", "--cwd", "/tmp", oci.id, "sh", "-c", "echo $A $PWD; exit 5",
               check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (5, "b /tmp\n")
    denied = oci("exec", oci.id, "unshare", "-U", "true", check=False)
    assert denied.returncode != 0
    assert "not permitted" in denied.stderr


def test_a_program_that_is_none_leaves_nothing(oci: Oci) -> None:
    done = oci("run", "--bundle", str(oci.bundle("nope")), oci.id, check=False)
    assert done.returncode != 0
    assert "nope" in done.stderr
    assert oci("state", oci.id, check=False).returncode != 0


def test_a_terminal_goes_to_the_console_socket(oci: Oci, tmp_path: Path) -> None:
    path = tmp_path / "console"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        place = oci.bundle("sh", "-c", "tty; exit 3", terminal=True)
        oci("create", "--bundle", str(place), "--console-socket", str(path), oci.id)
        peer, _ = listener.accept()
        with peer:
            _, descriptors, _, _ = socket.recv_fds(peer, 100, 1)
    oci("start", oci.id)
    assert os.read(descriptors[0], 100).startswith(b"/dev/pts/0")
    os.close(descriptors[0])


def test_list(oci: Oci) -> None:
    oci("create", "--bundle", str(oci.bundle("true")), oci.id)
    rows = json.loads(oci("list", "--format", "json").stdout)
    assert [(row["id"], row["status"]) for row in rows] == [(oci.id, "created")]
    assert oci("list", "--quiet").stdout == f"{oci.id}\n"


def test_what_is_not_there_says_so(tmp_path: Path, lower: Path) -> None:
    ours = Oci(OURS, tmp_path, lower)
    done = ours("checkpoint", "x", check=False)
    assert done.returncode == 1
    assert "checkpoint: not implemented" in done.stderr

"""Ordinary users for tests: made with useradd, removed with everything of theirs."""

from __future__ import annotations

import compileall
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import isal
import zstandard

import dockyard

SOURCES = Path(dockyard.__file__).parent


class Ordinary:
    """A user, and a place whose files they can read: this project's sources and a root."""

    def __init__(self, name: str, place: Path) -> None:
        found = pwd.getpwnam(name)
        self.name, self.uid, self.gid = name, found.pw_uid, found.pw_gid
        self.home, self.place = Path(found.pw_dir), place

    def run(
        self, *words: str, check: bool = False, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command as this user, with nothing of root's."""
        # output to files: a container that is detached keeps them open
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                words, user=self.uid, group=self.gid, extra_groups=[], cwd=self.home,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=60, umask=0o022,
                env={"HOME": str(self.home), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                     "PYTHONPATH": str(self.place / "src"), **(env or {})},
            )  # fmt: skip
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
        assert done.returncode == 0 or not check, texts
        return subprocess.CompletedProcess(words, done.returncode, *texts)

    def dockyard(self, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
        program = "from dockyard.cli.main import program; program()"
        return self.run(interpreter(), "-c", program, *words, **more)  # type: ignore[arg-type]

    def oci(self, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
        program = "import sys; from dockyard.node.runtime.oci_cli import main; sys.exit(main())"
        return self.run(interpreter(), "-c", program, *words, **more)  # type: ignore[arg-type]


def interpreter() -> str:
    """The real one: a virtual environment may lie where only root may read."""
    return os.path.realpath(sys.executable)


@contextlib.contextmanager
def ordinary(*, subordinate: bool) -> Iterator[Ordinary]:
    """A user for a while. ``subordinate``: with a range of ids in /etc/subuid and /etc/subgid."""
    name = f"dy{secrets.token_hex(4)}"
    place = Path(tempfile.mkdtemp(prefix="dockyard-user-"))
    place.chmod(0o755)
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    try:
        if not subordinate:
            for option in ("--del-subuids", "--del-subgids"):
                subprocess.run(["usermod", option, "1-4294967294", name], check=True)
        ignored = shutil.ignore_patterns("__pycache__", "cluster")
        shutil.copytree(SOURCES, place / "src/dockyard", ignore=ignored)
        for package in (isal, zstandard):  # what unpacking an image takes
            folder = Path(package.__file__).parent
            shutil.copytree(folder, place / "src" / folder.name, ignore=ignored)
        compileall.compile_dir(place / "src", quiet=1)  # the user could not keep it
        yield Ordinary(name, place)
    finally:
        uid = pwd.getpwnam(name).pw_uid
        _end_processes(uid, name)
        shutil.rmtree(f"/tmp/dockyard-{uid}", ignore_errors=True)
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)
        shutil.rmtree(place)


def _end_processes(uid: int, name: str) -> None:
    """Those of the user and of their range of ids: a failed test leaves containers."""
    owners = {uid}
    for line in Path("/etc/subuid").read_text().splitlines():
        user, first, count = line.split(":")
        if user == name:
            owners.update(range(int(first), int(first) + int(count)))
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if folder.stat().st_uid in owners:
                os.kill(int(folder.name), signal.SIGKILL)

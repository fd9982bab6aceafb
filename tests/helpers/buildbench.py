"""Builds of the real program in a data root that has busybox, and what came out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dockyard.node.image.bootstrap.recipes import bootstrap
from dockyard.node.image.image import Image
from dockyard.node.image.store import ImageStore

PROGRAM = Path(sys.executable).parent / "dockyard"
Files = dict[str, str]


class Bench:
    """A data root with busybox in it, and a context to build from."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.context = base / "context"
        self.context.mkdir()
        self.name = "out"
        """Of what is built."""
        self.store = ImageStore(base / "data")
        bootstrap(self.store, "busybox", (), None, str(base / "packages"))

    def write(self, files: Files) -> None:
        for name, text in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def try_build(
        self, *words: str, env: dict[str, str] | None = None, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.try_build_at(str(self.context), *words, env=env, stdin=stdin)

    def try_build_at(
        self, context: str, *words: str, env: dict[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """As :meth:`try_build`, of another context."""
        env = {**os.environ, "DOCKYARD_ROOT": str(self.base / "data"), **(env or {})}
        done = subprocess.run(
            [PROGRAM, "build", "-t", self.name, "--network", "none", "--progress", "plain", *words,
             context],
            env=env, capture_output=True, timeout=60, input=stdin, check=False,
        )  # fmt: skip
        out, err = (part.decode(errors="replace") for part in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def build(self, dockerfile: str, *words: str) -> str:
        """What the build printed, and its steps without their numbers."""
        self.write({"Dockerfile": dockerfile})
        done = self.try_build(*words)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout + re.sub(r"(?m)^#[0-9]+ (?:[0-9]+[.][0-9]{3} )?", "", done.stderr)

    def fail(self, dockerfile: str, *words: str) -> str:
        self.write({"Dockerfile": dockerfile})
        done = self.try_build(*words)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    @property
    def image(self) -> Image:
        return self.store.resolve(self.name)

    def top(self, depth: int = 0) -> Path:
        """The unpacked directory of the topmost layer."""
        return Path(self.store.mount_layers(self.image)[depth])

    def files(self, path: str = ".") -> dict[str, str]:
        """Names and contents of regular files below a path of the image; links as ``-> target``."""
        found: dict[str, str] = {}
        for lower in reversed(self.store.mount_layers(self.image)):
            top = Path(lower) / path
            for each in [top, *top.rglob("*")] if top.exists() else []:
                name = str(each.relative_to(lower))
                if each.is_symlink():
                    found[name] = f"-> {each.readlink()}"
                elif each.is_file():
                    found[name] = each.read_text(errors="replace")
                elif each.is_char_device():
                    found.pop(name, None)
        return found

    def said(self, path: str) -> str:
        """The contents of one file of the image."""
        return self.files(path)[path]


MEET = "--mount=type=cache,id=meet,target=/meet"
"""A cache that all builds of a test see, and the test too: where they wait for each other."""


def wait_for(name: str) -> str:
    """In a step: until somebody has put a file there; an error after a minute."""
    return f"for i in $(seq 1200); do test -e /meet/{name} && break; usleep 50000; done; " \
           f"test -e /meet/{name}"  # fmt: skip


def cache(bench: Bench, name: str) -> Path:
    """Where a cache mount's files lie: its id is hashed, with the name of its space before it."""
    return bench.base / "data/build-cache" / hashlib.sha256(f"\0{name}".encode()).hexdigest()


@contextlib.contextmanager
def building(
    bench: Bench, name: str, dockerfile: str, *more: str
) -> Iterator[subprocess.Popen[str]]:
    """A build that goes on meanwhile; it must end well, with the block at the latest."""
    folder = bench.base / f"context-{name}"
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    env = {**os.environ, "DOCKYARD_ROOT": str(bench.base / "data")}
    words = ["build", "-t", name, "--network", "none", "--progress", "plain", *more, str(folder)]
    process = subprocess.Popen([PROGRAM, *words], env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield process
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()

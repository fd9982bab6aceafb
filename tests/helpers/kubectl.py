"""The real kubectl, and a ``dockyard server`` for it to talk to."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
DOCKYARD = BIN / "dockyard"


def path_of_kubectl() -> str:
    """Where kubectl is; the test is skipped where it is not."""
    found = shutil.which("kubectl", path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip("kubectl is not installed")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Server:
    """A server process of one data root."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        self.process = self.spawn()
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        assert self.greeting.startswith("serving on "), self.process.communicate()

    def spawn(self, port: int = 0) -> subprocess.Popen[str]:
        words = ["server", "--data-dir", str(self.root), "--address",
                 f"127.0.0.1:{port or self.port}"]  # fmt: skip
        return subprocess.Popen(
            [DOCKYARD, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def kubeconfig(self) -> Path:
        return self.root / "cluster" / "kubeconfig"

    def stop(self) -> int:
        self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode


class Kubectl:
    """``kubectl("get", "pods")``: its output; a failure fails the test."""

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        self.program = path_of_kubectl()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(cache),
            "KUBECONFIG": str(kubeconfig),
        }

    def run(
        self, *words: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            input=stdin,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> str:
        done = self.run(*words, stdin=stdin, **environment)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *words: str, stdin: str = "") -> str:
        """What kubectl says of a refusal."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(words)}: {done.stdout}"
        return done.stderr

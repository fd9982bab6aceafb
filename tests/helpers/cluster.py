"""A real cluster of the test's own: `dockyard up` in a folder, driven by the real kubectl."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers import leaks
from helpers.kubectl import DOCKYARD, Kubectl

SECONDS = 60.0


class Cluster:
    """One data root. ``close`` purges it and looks whether the machine still holds any of it."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.environment = {**os.environ, "DOCKYARD_ROOT": str(root)}
        self.kubectl = Kubectl(root / "cluster" / "kubeconfig", home)

    def run(self, *words: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """`dockyard` with these words."""
        return subprocess.run(
            [DOCKYARD, *map(str, words)],
            env=self.environment, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    def dockyard(self, *words: str | Path) -> str:
        """Its output; a failure fails the test."""
        done = self.run(*words)
        assert done.returncode == 0, f"dockyard {words}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def up(self) -> None:
        self.dockyard("up")

    def close(self) -> None:
        done = self.run("down", "--purge")
        assert done.returncode == 0, done.stdout + done.stderr
        assert leaks.left_behind(self.root) == []
        assert not self.root.exists()

    def logs(self) -> str:
        """The last lines of the cluster's own logs: for a test that fails."""
        found = []
        for path in sorted(self.root.glob("cluster/logs/*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            found.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(found)

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def status(self) -> Any:
        """``dockyard status``."""
        return json.loads(self.dockyard("status", "--output", "json"))

    def eventually(
        self, condition: Callable[[], object], what: str, seconds: float = SECONDS
    ) -> Any:
        """What the condition gives as soon as it is true; what it asks for may fail meanwhile."""
        deadline = time.monotonic() + seconds
        last: object = ""
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
                last = found
            except (AssertionError, OSError) as error:
                last = error
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {seconds:g} s: {last}\n{self.logs()}")

    def container(self, pod: str) -> str:
        """The id of a pod's only container."""
        status = self.get("pod", pod)["status"]["containerStatuses"][0]
        return str(status["containerID"].removeprefix("dockyard://"))

"""The real podman on a runtime of choice, with storage, state and settings of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from helpers import rootfs

IMAGE = "localhost/busybox:test"
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """Calls it; what it makes lies below one folder and ends with :meth:`close`."""

    def __init__(self, folder: Path, runtime: str) -> None:
        self.folder = folder
        # podman takes 50 characters, and sockets lie below it
        self._run = Path(f"/run/dockyard-podman-{os.getpid()}")
        self._settings = folder / "containers.conf"
        self._settings.write_text(SETTINGS)
        self._words = [
            "podman", "--root", str(folder / "root"), "--runroot", str(self._run),
            "--tmpdir", str(folder / "tmp"), "--storage-driver", "vfs", "--runtime", runtime,
        ]  # fmt: skip

    def load_image(self) -> None:
        """A busybox, as ``localhost/busybox:test``."""
        tree = rootfs.make(self.folder / "tree")
        archive = self.folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(tree, ".")
        self("import", "-c", 'CMD ["sh"]', str(archive), IMAGE)

    def __call__(self, *words: str, check: bool = True, stdin: str = "") -> tuple[int, str, str]:
        """Exit code, output, errors."""
        done = subprocess.run(
            [*self._words, *words], input=stdin, capture_output=True, text=True, timeout=60,
            env={**os.environ, "CONTAINERS_CONF": str(self._settings)},
        )  # fmt: skip
        assert done.returncode == 0 or not check, (words, done.returncode, done.stderr)
        return done.returncode, done.stdout, done.stderr

    def run(self, *words: str, check: bool = True) -> tuple[int, str, str]:
        """``run --rm`` of the image: flags, ``--``, the command."""
        at = words.index("--")
        return self("run", "--rm", *words[:at], IMAGE, *words[at + 1 :], check=check)

    def close(self) -> None:
        """Remove every container and pod, and the storage's own mount."""
        self("pod", "rm", "--all", "--force", "--time", "0", check=False)
        self("rm", "--all", "--force", "--time", "0", check=False)
        for place in (self.folder / "root/vfs", self._run):
            subprocess.run(["umount", "-l", place], capture_output=True)
        shutil.rmtree(self._run, ignore_errors=True)

"""One data root, the command line on it, and what others write for it: skopeo, `docker save`."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from dockyard.base.oci.platform import host_platform
from helpers.tars import file, tar

PROGRAM = Path(sys.executable).parent / "dockyard"


class Machine:
    """One data root and the command line on it."""

    program = PROGRAM

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {**os.environ, "DOCKYARD_ROOT": str(root), "DOCKER_CONFIG": str(root / "cfg")}

    def try_run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, *words], env=self.env, capture_output=True, text=True, timeout=60
        )

    def run(self, *words: str) -> str:
        done = self.try_run(*words)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def archive(path: Path, *layers: bytes) -> Path:
    """What `docker save` writes: layers as plain tars."""
    config = json.dumps({
        "os": "linux", "architecture": host_platform().architecture,
        "rootfs": {"type": "layers",
                   "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]},
    }).encode()  # fmt: skip
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["plain:1"], "Layers": names}]
    path.write_bytes(
        tar(
            file("config.json", config),
            file("manifest.json", json.dumps(manifest).encode()),
            *(file(name, layer) for name, layer in zip(names, layers, strict=True)),
        )
    )
    return path

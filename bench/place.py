"""Turns a temporary folder into what containers of a bench stand on, and takes it away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
BUSYBOX = Path("/bin/busybox")
PACKAGES = PROJECT / "bench" / "packages.txt"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own, gone afterwards."""
    found = Path(tempfile.mkdtemp(prefix="dybench-"))
    try:
        yield found
    finally:
        shutil.rmtree(found)


def busybox_tree(place: Path) -> Path:
    """A root with Debian's static busybox, whose ``true`` is what gets started."""
    for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"):
        (place / name).mkdir(parents=True)
    shutil.copy2(BUSYBOX, place / "bin/busybox")
    for name in ("sh", "true", "sleep", "cat", "echo", "ls"):
        (place / "bin" / name).symlink_to("busybox")
    (place / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (place / "etc/group").write_text("root:x:0:\n")
    return place


def need_packages() -> None:
    """Install the peers that are missing. No server among them is started."""
    wanted = [line.split() for line in PACKAGES.read_text().splitlines() if line[:1] not in "#"]
    missing = [package for probe, package in wanted if not Path(probe).exists()]
    if not missing:
        return
    print(f"bench: installing {' '.join(missing)}", file=sys.stderr)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    try:
        for words in (["update"], ["install", "--no-install-recommends", *missing]):
            done = subprocess.run([*apt, *words], env=env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"apt-get {words[0]}: {(done.stdout + done.stderr)[-2000:]}")
    finally:
        if ours:
            policy.unlink(missing_ok=True)

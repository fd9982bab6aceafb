"""Whole Debian trees for tests, from the mirror that this machine's own apt uses."""

from __future__ import annotations

import subprocess
from pathlib import Path


def mirror() -> tuple[str, str]:
    """(address, suite) of the first Debian archive in /etc/apt, as apt itself reads it."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN) $(LABEL)",
         "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        address, suite, *rest = line.split()
        if rest == ["Debian", "Debian"] and "-" not in suite:
            return address, suite
    raise AssertionError(f"/etc/apt names no Debian archive; apt-get update? {done.stdout[:500]}")


def tree(folder: Path, *packages: str) -> Path:
    """A minimal Debian with these packages, configured: a minute's work."""
    address, suite = mirror()
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite,
             str(folder), address]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-1000:]
    return folder

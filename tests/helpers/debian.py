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


UNKNOWN = ("Failed getting release file", "Invalid Release", "No such script")
"""What debootstrap says of a suite that the mirror, or it, does not know."""


class NoSuchSuite(Exception):
    """The mirror does not have it."""


def tree(folder: Path, *packages: str, suite: str = "") -> Path:
    """A minimal Debian with these packages, configured: a minute's work. Without a suite, the one
    that this machine's apt uses. Raises :class:`NoSuchSuite`."""
    address, own = mirror()
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite or own,
             str(folder), address]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True)
    said = done.stdout[-2000:] + done.stderr[-1000:]
    if done.returncode and suite and any(reason in said for reason in UNKNOWN):
        raise NoSuchSuite(suite)
    assert done.returncode == 0, said
    return folder

"""Turns this process's network into one of its own for a while: what bridges, daemons and rules
leave there goes with it, and the host's rules are not touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from dockyard.base.linux import syscalls


@contextmanager
def network() -> Iterator[None]:
    """A network namespace for this process and those that it starts meanwhile."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        syscalls.setns(before, syscalls.CLONE_NEWNET)
        os.close(before)

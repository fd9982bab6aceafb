"""Turns choices among what all data roots of a machine share (blocks, ports) into a queue."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from dockyard.base.oci.instance import RUN_ROOT

LOCK = "network.lock"


@contextlib.contextmanager
def alone(name: str = LOCK) -> Iterator[None]:
    """Held from a look at the kernel until what was chosen can be seen there. Some milliseconds for
    the networks' own lock; another ``name`` is another queue."""
    os.makedirs(RUN_ROOT, 0o711, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(os.path.join(RUN_ROOT, name), flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

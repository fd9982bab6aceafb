"""A process that lives in namespaces of its own, for as long as a test looks at them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

PRIVATE = ("--mount", "--propagation", "private")


@contextlib.contextmanager
def holding(*flags: str, script: str = ":") -> Iterator[int]:
    """Its pid, once the script has run there. Flags are unshare(1)'s."""
    words = ["unshare", *flags, "sh", "-c", f"{script} && echo ready && exec sleep 100"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            yield other.pid
        finally:
            other.kill()

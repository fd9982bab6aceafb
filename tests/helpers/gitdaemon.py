"""git's own server, of the repositories below a folder, for one test."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from helpers.registry_server import free_port


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address that a repository's path below the folder is appended to."""
    port = free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}", "--verbose",
         f"--base-path={folder}", str(folder)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert daemon.stderr is not None
    try:
        assert "Ready" in daemon.stderr.readline()
        yield f"git://127.0.0.1:{port}"
    finally:
        daemon.terminate()
        daemon.wait(10)
        daemon.stderr.close()

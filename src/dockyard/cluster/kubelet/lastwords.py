"""Turns what a container has written about its end into the message of its status.

The file at ``terminationMessagePath`` is the host's, mounted into the container; of what it holds
4096 bytes count. With ``FallbackToLogsOnError`` the end of its log stands in: 80 lines or 2048
bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.logs import text
from dockyard.interfaces.cri import EXITED, ContainerStatus, Mount

DEFAULT_PATH = "/dev/termination-log"
LARGEST, LARGEST_LOG, MOST_LINES = 4096, 2048, 80
FOLDER = "..last-words"
"""Below a pod's volumes; no volume has such a name."""


def file_of(volumes: Path, name: str, attempt: int) -> Path:
    """Of one attempt of a container."""
    return volumes / FOLDER / f"{name}-{attempt}"


def prepare(volumes: Path, spec: Object, attempt: int) -> Mount | None:
    """Make the file; None where the container mounts something there itself."""
    path = spec.get("terminationMessagePath") or DEFAULT_PATH
    own = {os.path.normpath(each["mountPath"]) for each in spec.get("volumeMounts") or ()}
    if os.path.normpath(path) in own:
        return None
    found = file_of(volumes, spec["name"], attempt)
    found.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    found.touch(0o666)
    found.chmod(0o666)  # whoever the program runs as; the umask is ours
    return Mount(os.path.normpath(path), str(found))


class LastWords:
    """Of one pod's containers; each file is read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def lacks(self, containers: Iterable[ContainerStatus]) -> bool:
        """Whether there is something to read."""
        return any(_is_silent(each) and each.id not in self._known for each in containers)

    def read(
        self, volumes: Path, spec_of: Callable[[str], Object], containers: list[ContainerStatus]
    ) -> None:
        """Synchronous: called in a thread."""
        self._known = {
            each.id: self._known.get(each.id) or message_of(volumes, spec_of(each.name), each)
            for each in containers if _is_silent(each)
        }  # fmt: skip

    def told(self, containers: Iterable[ContainerStatus]) -> list[ContainerStatus]:
        """The containers, each with what it has left."""
        return [replace(each, message=self._known.get(each.id, "")) if _is_silent(each) else each
                for each in containers]  # fmt: skip


def _is_silent(container: ContainerStatus) -> bool:
    return container.state == EXITED and not container.message


def message_of(volumes: Path, spec: Object, ended: ContainerStatus) -> str:
    """What an attempt that has ended has left."""
    said = _head(file_of(volumes, ended.name, ended.attempt))
    policy = spec.get("terminationMessagePolicy")
    if not said and policy == "FallbackToLogsOnError" and ended.exit_code and ended.log_path:
        said = _tail(Path(ended.log_path))
    return said.decode(errors="replace")


def _open(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # one from before, or nothing was ever written
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


def _head(path: Path) -> bytes:
    if (descriptor := _open(path)) is None:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(LARGEST)


def _tail(path: Path) -> bytes:
    """The last lines of a log, as the program wrote them."""
    if (descriptor := _open(path)) is None:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4 * LARGEST_LOG))
        lines = file.read().split(b"\n")
    if size > 4 * LARGEST_LOG:
        lines = lines[1:]  # its beginning is not there
    last = [line for line in lines if line][-MOST_LINES:]
    said = b"".join(text(line + b"\n", stamps=False) for line in last)
    return said[-LARGEST_LOG:]

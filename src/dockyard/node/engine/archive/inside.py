"""Turns an ordinary user's copy into one that root of the container makes: in its namespaces.

Whose files they are there only shows inside its user namespace. A fork goes in and sees the
container's root; tar streams pass through pipes. For a process with one thread.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from dockyard.base.errors import DockyardError, Invalid
from dockyard.base.linux import syscalls
from dockyard.node.engine.config import Container

PIECE = 1 << 16
LONGEST_ERROR = 4096
NAMESPACES = syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS
Chunks = Iterator[bytes]


def is_needed(container: Container) -> bool:
    """Whether this user is not the one that the container's files are known to."""
    return os.geteuid() != 0 and container.alive


def write(
    container: Container, chunks: Iterable[bytes], work: Callable[[int, Chunks], None]
) -> None:
    """``work`` gets the container's root and the chunks, in the fork."""
    reading, writing = os.pipe()

    def body(root: int) -> None:
        os.close(writing)
        work(root, _pieces(reading))

    with _forked(container, body) as failed:
        os.close(reading)
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", 0) as file:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) or 0 :]
    failed()


def read(container: Container, work: Callable[[int], Iterable[bytes]]) -> Chunks:
    """What ``work`` makes of the container's root, in the fork."""
    reading, writing = os.pipe()

    def body(root: int) -> None:
        os.close(reading)
        with os.fdopen(writing, "wb", PIECE) as file:
            file.writelines(work(root))

    with _forked(container, body) as failed:
        os.close(writing)
        yield from _pieces(reading)
    failed()


def _pieces(descriptor: int) -> Chunks:
    try:
        while piece := os.read(descriptor, PIECE):
            yield piece
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _forked(container: Container, body: Callable[[int], None]) -> Iterator[Callable[[], None]]:
    """Run it; what is yielded raises what it has failed with."""
    said, saying = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(said)
        code = 1
        try:
            pidfd = os.pidfd_open(container.pid)
            syscalls.setns(pidfd, NAMESPACES)
            body(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            code = 0
        except (DockyardError, OSError) as error:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            os.write(saying, text.encode()[:LONGEST_ERROR])
        finally:
            os._exit(code)
    os.close(saying)
    failure: list[str] = []

    def failed() -> None:
        if failure:
            raise Invalid(failure[0] or "cp: it ended in the middle")

    try:
        yield failed
    finally:
        with os.fdopen(said, "rb") as file:
            text = file.read().decode(errors="replace")
        _, status = os.waitpid(pid, 0)
        if status:
            failure.append(text)

"""Two processes with one memory: who waits, and when it ends. clone(2), CLONE_CHILD_CLEARTID."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
from collections.abc import Iterator

import pytest

from dockyard.base.linux import samememory

SECONDS = 10.0
PAIR = struct.Struct("=ii")


class Pair:
    """The one that keeps the memory, and the one that goes on; children of this process."""

    def __init__(self) -> None:
        told, tell = os.pipe()
        wait, self.go = os.pipe()
        self.keeper = os.fork()
        if self.keeper == 0:
            try:
                os.close(self.go)
                found = samememory.part()  # a sibling: it is the test's child too
                os.write(tell, PAIR.pack(found, os.getpid()))
                word = os.read(wait, 1)
                os.dup2(wait, 0)
                if word == b"x":
                    os.execv("/bin/cat", ["cat"])
            finally:
                os._exit(7)
        os.close(tell)
        os.close(wait)
        assert select.select([told], [], [], SECONDS)[0]
        seen, self.pid = PAIR.unpack(os.read(told, PAIR.size))
        os.close(told)
        assert seen == self.pid != self.keeper

    def lives(self, pid: int) -> bool:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)

    def status(self, pid: int) -> int:
        watched = os.pidfd_open(pid)
        try:
            assert select.select([watched], [], [], SECONDS)[0]
        finally:
            os.close(watched)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def pair() -> Iterator[Pair]:
    found = Pair()
    yield found
    for pid in (found.pid, found.keeper):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_it_keeps_the_memory_until_the_other_executes_something(pair: Pair) -> None:
    assert pair.lives(pair.keeper)
    os.write(pair.go, b"x")
    assert pair.status(pair.keeper) == 0
    assert pair.lives(pair.pid)
    os.close(pair.go)
    assert pair.status(pair.pid) == 0


def test_or_until_the_other_ends(pair: Pair) -> None:
    os.close(pair.go)
    assert (pair.status(pair.pid), pair.status(pair.keeper)) == (7, 0)


def test_the_other_goes_on_without_it(pair: Pair) -> None:
    os.kill(pair.keeper, signal.SIGKILL)
    assert pair.status(pair.keeper) == -9
    assert pair.lives(pair.pid)
    os.close(pair.go)
    assert pair.status(pair.pid) == 7

"""The loop between a terminal and a container: nothing is lost, and nobody waits for the other."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dockyard.cli import terminal
from dockyard.interfaces.ociruntime import Frame


class Echo:
    """A stream whose other end is a thread's: what is written there is read here."""

    def __init__(self, program: Callable[[socket.socket], None]) -> None:
        self._ours, theirs = socket.socketpair()
        self.signals: list[int] = []
        self.closed_stdin = False
        self._code: int | None = None
        self._thread = threading.Thread(target=self._run, args=(program, theirs), daemon=True)
        self._thread.start()

    def _run(self, program: Callable[[socket.socket], None], peer: socket.socket) -> None:
        with peer:
            program(peer)
        self._code = 7

    def fileno(self) -> int:
        return self._ours.fileno()

    def read(self) -> Frame | None:
        data = self._ours.recv(65536)
        return Frame(1, data) if data else None

    def write(self, data: bytes) -> None:
        self._ours.sendall(data)

    def close_stdin(self) -> None:
        self._ours.shutdown(socket.SHUT_WR)

    def resize(self, rows: int, columns: int) -> None: ...

    def signal(self, number: int) -> None:
        self.signals.append(number)
        self._ours.shutdown(socket.SHUT_WR)

    def exit_code(self) -> int | None:
        self._thread.join(5)
        return self._code

    def close(self) -> None:
        self._ours.close()


@pytest.fixture
def stdin() -> Iterator[int]:
    """Standard input is a pipe: its writing end."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(kept, 0)
    os.close(kept)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    out = bytearray()
    monkeypatch.setattr(terminal, "write_all", lambda _, data: out.extend(data))
    return out


def echo(peer: socket.socket) -> None:
    while data := peer.recv(4096):
        peer.sendall(data)


def drain(peer: socket.socket) -> None:
    while peer.recv(4096):
        pass


def test_a19_all_input_comes_back_however_slow_the_program(stdin: int, printed: bytearray) -> None:
    """Input and output both larger than every buffer between: who writes must also read."""
    data = os.urandom(3 << 20)

    def feed() -> None:
        with os.fdopen(stdin, "wb") as file:
            file.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert terminal.pump(Echo(echo), stdin=True, terminal=False) == 7
    feeder.join()
    assert bytes(printed) == data


def test_the_detach_keys_leave_and_what_was_typed_before_arrives(
    stdin: int, printed: bytearray
) -> None:
    os.write(stdin, b"ls\n\x10\x11more")
    got = bytearray()
    done = threading.Event()

    def program(peer: socket.socket) -> None:
        got.extend(peer.recv(100))
        done.set()

    stream = Echo(program)
    with pytest.raises(terminal.Detached):
        terminal.pump(stream, stdin=True, terminal=True)
    assert done.wait(5)
    assert bytes(got) == b"ls\n"
    os.close(stdin)


def test_without_a_terminal_the_keys_are_bytes(stdin: int, printed: bytearray) -> None:
    os.write(stdin, b"\x10\x11")
    os.close(stdin)
    assert terminal.pump(Echo(echo), stdin=True, terminal=False) == 7
    assert bytes(printed) == b"\x10\x11"


def test_signals_go_to_the_program(printed: bytearray) -> None:
    stream = Echo(drain)
    before = signal.getsignal(signal.SIGTERM)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert terminal.pump(stream, stdin=False, terminal=False, proxy=True) == 7
    assert stream.signals == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_terminal_is_asked_for_where_there_is_none(stdin: int) -> None:
    with pytest.raises(SystemExit) as caught:
        terminal.check_terminal(True, True)
    assert caught.value.code == 1
    terminal.check_terminal(True, False)
    os.close(stdin)

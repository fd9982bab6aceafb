"""process.terminal: a console socket, the caller's own terminal, none."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from helpers.ociruntime import Oci, command, until

pytestmark = pytest.mark.root


class Console:
    """Listens for a terminal's master, as a shim does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(20)

    def master(self) -> int:
        peer, _ = self.listener.accept()
        with peer:
            data, descriptors, _, _ = socket.recv_fds(peer, 4096, 1)
        assert data
        return descriptors[0]


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """What comes, until that has come or nothing more does."""
    found = b""
    while wanted not in found:
        if not select.select([descriptor], [], [], 20)[0]:
            break
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # EIO: the other end is closed
            break
        if not data:
            break
        found += data
    assert wanted in found
    return found


SCRIPT = (
    "tty; stat -c %u:%g:%a $(tty); stty size; test -t 0 -a -t 1 -a -t 2 && echo all;"
    " read x; echo got $x"
)


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_console_socket(oci: Oci, tmp_path: Path, verb: str) -> None:
    console = Console(tmp_path / "console")
    flags = ["--console-socket", str(console.path)]
    if verb == "exec":
        oci.up()
        oci("exec", "-d", "-t", *flags, oci.id, "sh", "-c", SCRIPT)
    else:
        place = oci.bundle("sh", "-c", SCRIPT, terminal=True,
                           consoleSize={"height": 11, "width": 101})  # fmt: skip
        oci(verb, *(["-d"] if verb == "run" else []), *flags, "-b", str(place), oci.id)
    master = console.master()
    if verb == "create":
        oci("start", oci.id)
    os.write(master, b"typed\n")
    out = read_until(master, b"got typed").decode()
    assert "/dev/pts/0" in out
    assert "all" in out
    if verb != "exec":
        assert "11 101" in out
    assert "0:5:620" in out or "0:0:620" in out or "0:0:600" in out  # the devpts' options
    os.close(master)
    console.listener.close()


def test_the_terminal_is_the_users(oci: Oci, tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    place = oci.bundle("sh", "-c", "stat -c owner:%u /dev/pts/0; read x", terminal=True,
                       user={"uid": 1000, "gid": 1000})  # fmt: skip
    oci("run", "-d", "--console-socket", str(console.path), "-b", str(place), oci.id)
    master = console.master()
    read_until(master, b"owner:1000")
    os.close(master)
    console.listener.close()


def test_the_console_is_the_terminal(oci: Oci, tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    place = oci.bundle("sh", "-c", "echo through > /dev/console; read x", terminal=True)
    oci("run", "-d", "--console-socket", str(console.path), "-b", str(place), oci.id)
    master = console.master()
    read_until(master, b"through")
    os.close(master)
    console.listener.close()


def test_lines_in_a_pipe_are_whole(runclike: Oci, tmp_path: Path) -> None:
    """The caller's terminal ends them with a carriage return, not the container's."""
    place = runclike.bundle("sh", "-c", "echo one; echo two", terminal=True)
    words = [
        *command(runclike.kind),
        "--root",
        runclike.state_root,
        "run",
        "-b",
        place,
        runclike.id,
    ]
    pid, master = pty.fork()
    if pid == 0:
        output = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.execvp(words[0], [str(word) for word in words])
    while True:
        try:
            if not os.read(master, 1000):
                break
        except OSError:
            break
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_terminal_that_nobody_takes(runclike: Oci, verb: str) -> None:
    place = runclike.bundle("true", terminal=True)
    flags = ["-d"] if verb == "run" else []
    done = runclike(verb, *flags, "-b", str(place), runclike.id, check=False)
    assert done.returncode == 1
    assert "cannot allocate tty" in done.stderr
    assert runclike.groups() == []


def test_a_console_socket_without_a_terminal(runclike: Oci, tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    place = runclike.bundle("true", terminal=False)
    done = runclike("run", "-d", "--console-socket", str(console.path), "-b", str(place),
                    runclike.id, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "cannot use console socket" in done.stderr
    console.listener.close()


def test_a_console_socket_that_is_not_there(runclike: Oci, tmp_path: Path) -> None:
    place = runclike.bundle("true", terminal=True)
    done = runclike("run", "-d", "--console-socket", str(tmp_path / "none"), "-b", str(place),
                    runclike.id, check=False)  # fmt: skip
    assert done.returncode == 1
    assert runclike.groups() == []


def on_a_terminal(words: list[str], rows: int = 0, columns: int = 0) -> tuple[int, int]:
    """Start a program on a new terminal: its pid and the terminal's master."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(words[0], words)
    if rows:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return pid, master


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_on_the_callers_terminal(oci: Oci, verb: str) -> None:
    script = "echo ready; read x; stty size; echo got $x; exit 9"
    words = [*command(oci.kind), "--root", str(oci.state_root)]
    if verb == "run":
        words += ["run", "-b", str(oci.bundle("sh", "-c", script, terminal=True)), oci.id]
    else:
        oci.up()
        words += ["exec", "-t", oci.id, "sh", "-c", script]
    pid, master = on_a_terminal(words)
    out = read_until(master, b"ready")
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    os.write(master, b"typed\r")
    out += read_until(master, b"got typed")
    assert out.count(b"typed") == 2  # its terminal's echo once, ours is raw
    assert code_of(pid) == 9
    os.close(master)


def test_a_key_becomes_a_signal_of_the_containers_terminal(oci: Oci) -> None:
    place = oci.bundle("sh", "-c", "trap 'echo interrupted; exit 4' INT; echo ready; while :; do"
                                   " sleep 0.02; done", terminal=True)  # fmt: skip
    words = [*command(oci.kind), "--root", str(oci.state_root), "run", "-b", str(place), oci.id]
    pid, master = on_a_terminal(words)
    read_until(master, b"ready")
    os.write(master, b"\x03")
    read_until(master, b"interrupted")
    assert code_of(pid) == 4
    os.close(master)


def test_a_new_size_of_the_callers_terminal(runclike: Oci) -> None:
    oci = runclike
    place = oci.bundle("sh", "-c", "trap 'stty size' WINCH; stty size; echo ready; while :; do"
                                   " sleep 0.02; done", terminal=True)  # fmt: skip
    words = [*command(oci.kind), "--root", str(oci.state_root), "run", "-b", str(place), oci.id]
    pid, master = on_a_terminal(words)
    read_until(master, b"ready")
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    read_until(master, b"33 77")
    oci("kill", oci.id, "KILL")
    assert code_of(pid) == 128 + 9
    os.close(master)


def test_the_callers_terminal_is_never_the_containers(runclike: Oci) -> None:
    """Without one of its own it could type into the caller's: ioctl_tty(2), TIOCSTI."""
    place = runclike.bundle("sh", "-c", "for n in 0 1 2; do test -t $n && echo bad; done; echo end")
    words = [*command(runclike.kind), "--root", str(runclike.state_root), "run", "-b", str(place),
             runclike.id]  # fmt: skip
    pid, master = on_a_terminal(words)
    assert b"bad" not in read_until(master, b"end")
    assert code_of(pid) == 0
    os.close(master)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(oci: Oci, number: signal.Signals) -> None:
    loop = f"trap 'exit 6' {int(number)}; echo ready; while :; do sleep 0.02; done"
    place = oci.bundle("sh", "-c", loop)
    words = [*command(oci.kind), "--root", str(oci.state_root), "run", "-b", str(place), oci.id]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(number)
        assert running.wait(20) == 6
    until(lambda: oci.groups() == [])

"""The programs that init becomes first: files that the kernel takes and nobody can change."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from dockyard.base.errors import Unsupported
from dockyard.base.linux import firststep


@pytest.mark.parametrize(
    "programs",
    [firststep.RELAY, firststep.WAITING, firststep.PAUSE],
    ids=["relay", "waiting", "pause"],
)
@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_header_is_elfs(programs: dict[str, str], machine: str, number: int) -> None:
    data = firststep.elf(programs, machine)
    assert data[:7] == b"\x7fELF\x02\x01\x01"
    kind, found, _, entry, segments = struct.unpack_from("<HHIQQ", data, 16)
    assert (kind, found, segments) == (2, number, 64)
    assert data[entry - 0x400000 :].hex() == programs[machine]
    # one loaded segment that may not be written, one stack that may not be executed
    assert struct.unpack_from("<II", data, 64) == (1, 5)
    assert struct.unpack_from("<II", data, 64 + 56) == (0x6474E551, 6)


def test_an_unknown_machine() -> None:
    with pytest.raises(Unsupported, match="vax"):
        firststep.elf(firststep.RELAY, "vax")


def test_a02_nobody_can_write_to_it() -> None:
    descriptor = firststep.sealed(firststep.RELAY)
    try:
        for act in (
            lambda: os.write(descriptor, b"x"),
            lambda: os.ftruncate(descriptor, 0),
            lambda: os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_TRUNC),
        ):
            with pytest.raises(PermissionError):
                act()
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def relay(path: str, *args: str) -> tuple[int, bytes, bytes]:
    """Exit status, what the program printed, and what came out of descriptor 3."""
    output, theirs = os.pipe()
    report, report_theirs = os.pipe()
    step = firststep.sealed(firststep.RELAY)
    pid = os.posix_spawn(
        f"/proc/self/fd/{step}", [path, *args],
        {"NAME": "value"},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs, 1),
            (os.POSIX_SPAWN_DUP2, report_theirs, firststep.REPORT_DESCRIPTOR),
        ],
    )  # fmt: skip
    for descriptor in (step, theirs, report_theirs):
        os.close(descriptor)
    with os.fdopen(output, "rb") as printed, os.fdopen(report, "rb") as said:
        result = printed.read(), said.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), *result


def test_the_relay_executes_with_arguments_and_environment() -> None:
    text = 'echo "$0 $1 $NAME"; ls /proc/self/fd/3 2>/dev/null; exit 9'
    assert relay("/bin/sh", "argv0", "-c", text, "zero", "one") == (9, b"zero one value\n", b"")


def test_the_relay_reports_errno() -> None:
    assert relay("/no/such", "x") == (126, b"", struct.pack("=i", 2))
    assert relay("/etc", "x") == (126, b"", struct.pack("=i", 13))


def test_the_waiting_relay_takes_one_message_first() -> None:
    for message, code, said in (
        (b"start", 7, b""),
        (b"s" * 10_000, 7, b""),
        (b"", 126, b""),  # the other end has gone: so does it
    ):
        output, written = os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        step = firststep.sealed(firststep.WAITING)
        pid = os.posix_spawn(
            f"/proc/self/fd/{step}", ["/bin/sh", "sh", "-c", "echo here; exit 7"], {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, written, 1),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), firststep.REPORT_DESCRIPTOR),
            ],
        )  # fmt: skip
        os.close(written)
        os.close(step)
        theirs.close()
        with os.fdopen(output, "rb") as printed:
            if message:
                ours.send(message)
                assert ours.recv(10) == said  # closed by the exec
            ours.close()
            assert printed.read() == (b"here\n" if message else b"")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code

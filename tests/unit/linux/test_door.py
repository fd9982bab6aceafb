"""The door to the kernel: results, errors that name the call, and who watches."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.linux import door, syscalls
from dockyard.base.linux.callnumbers import BY_MACHINE, EVERYWHERE
from dockyard.base.linux.openat2 import open_in_root

Seen = list[tuple[str, tuple[object, ...], object]]


@pytest.fixture
def seen() -> Iterator[Seen]:
    calls: Seen = []
    door.recorder = lambda name, arguments, result: calls.append((name, arguments, result))
    yield calls
    door.recorder = None


def test_a_result_is_the_kernels() -> None:
    pidfd = syscalls.pidfd_open(os.getpid())
    try:
        duplicate = door.call("pidfd_getfd", pidfd, pidfd, 0)
        assert os.path.sameopenfile(pidfd, duplicate)
        os.close(duplicate)
    finally:
        os.close(pidfd)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("setns", -1, 0), OSError, "[Errno 9] setns(-1, 0): Bad file descriptor"),
        (
            ("mount", "none", "/no/such", "tmpfs", door.Bits(6), None),
            FileNotFoundError,
            "[Errno 2] mount(none, /no/such, tmpfs, 0x6, None): No such file or directory",
        ),
        (("frobnicate", 1), OSError, "[Errno 38] frobnicate: not known on"),
    ],
    ids=["number", "paths", "unknown"],
)
def test_an_error_names_the_call(
    arguments: tuple[str, ...], kind: type[OSError], text: str
) -> None:
    with pytest.raises(kind) as caught:
        door.call(*arguments)
    assert str(caught.value).startswith(text)


def test_a_path_with_a_nul_never_reaches_the_kernel() -> None:
    with pytest.raises(ValueError, match="NUL"):
        door.call("umount2", "/tmp/x\0y", 0)


@pytest.mark.parametrize(("machine", "token"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_numbers_are_those_that_libseccomp_knows(machine: str, token: int) -> None:
    resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    for name, number in {**EVERYWHERE, **BY_MACHINE[machine]}.items():
        # -1: the call is newer than this libseccomp
        assert resolve(ctypes.c_uint32(token), name.encode()) in (number, -1), name


def test_the_recorder_sees_calls_errors_and_what_does_not_return(seen: Seen) -> None:
    with pytest.raises(OSError):
        syscalls.setns(-1, syscalls.CLONE_NEWNET)
    mask = door.through("umask", os.umask, 0o22)
    door.last("exit", int, 7)
    assert [(name, arguments) for name, arguments, _ in seen] == [
        ("setns", (-1, syscalls.CLONE_NEWNET)), ("umask", (0o22,)), ("exit", (7,)),
    ]  # fmt: skip
    results = [result for _, _, result in seen]
    assert isinstance(results[0], OSError)
    assert results[1:] == [mask, None]
    os.umask(mask)


def test_an_error_of_pythons_own_is_recorded_too(seen: Seen) -> None:
    with pytest.raises(FileNotFoundError):
        door.through("chdir", os.chdir, "/no/such")
    assert seen[0][:2] == ("chdir", ("/no/such",))


def test_a_walk_in_a_root(tmp_path: Path, seen: Seen) -> None:
    (tmp_path / "link").symlink_to("/inside")
    (tmp_path / "inside").touch()
    root = os.open(tmp_path, os.O_PATH)
    try:
        found = open_in_root(root, "link", os.O_RDONLY)
        assert os.path.samestat(os.fstat(found), (tmp_path / "inside").stat())
        os.close(found)
        with pytest.raises(FileNotFoundError, match="missing"):
            open_in_root(root, "missing", os.O_RDONLY)
    finally:
        os.close(root)
    assert [name for name, _, _ in seen] == ["openat2", "openat2"]

"""Typed calls, each seen by its effect: memory files, passed descriptors, clones, scheduling."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.base.linux import (
    memoryfile,
    mountapi,
    mounttable,
    passing,
    processes,
    scheduling,
    syscalls,
)
from dockyard.base.linux.door import call


def in_child(act: Callable[[], object]) -> str:
    """What a function returns (or raises) in a fork of this process."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = str(act())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(into, text.encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


def status(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize("executable", [True, False])
def test_a_sealed_file(executable: bool) -> None:
    data = os.urandom(300_000)
    descriptor = memoryfile.sealed("x", data, executable=executable)
    try:
        assert os.read(descriptor, 400_000) == data
        for act in (
            lambda: os.pwrite(descriptor, b"x", 0),
            lambda: os.ftruncate(descriptor, 0),
            lambda: os.ftruncate(descriptor, 1_000_000),
        ):
            with pytest.raises(PermissionError):
                act()
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_descriptors_come_through_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        passing.send(ours, b"two", [0, 1])
        data, found = passing.receive(theirs, 10, 2)
        assert (data, len(found)) == (b"two", 2)
        assert os.path.sameopenfile(found[1], 1)
        assert not any(os.get_inheritable(descriptor) for descriptor in found)
        for descriptor in found:
            os.close(descriptor)


def test_more_descriptors_than_asked_for_are_an_error_and_none_is_kept() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for count in (2, 3, 8):
            passing.send(ours, b"x", [0] * count)
            with pytest.raises(OSError, match="more than 1"):
                passing.receive(theirs, 10, 1)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_clone_is_a_process_with_a_descriptor() -> None:
    forked = processes.clone3(processes.CLONE_PIDFD)
    if forked.pid == 0:
        os._exit(7)
    try:
        assert os.waitid(os.P_PIDFD, forked.pidfd, os.WEXITED).si_status == 7  # type: ignore[union-attr]
    finally:
        os.close(forked.pidfd)


def test_a_clone_that_is_a_sibling() -> None:
    def parent_of_sibling() -> str:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            sibling = processes.clone3(processes.CLONE_PARENT)
            if sibling.pid == 0:
                os.write(into, str(os.getppid()).encode())
            os._exit(0)
        for _ in range(2):
            os.wait()
        return f"{int(os.read(out, 20)) == os.getpid()}"

    assert in_child(parent_of_sibling) == "True"


def test_a_clone_with_shared_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="share nothing"):
        processes.clone3(0x100)


def test_a_refused_clone_names_its_arguments() -> None:
    # clone3(2), EBADF: CLONE_INTO_CGROUP with a descriptor that is none
    with pytest.raises(OSError, match=r"clone3\(\{flags=.*cgroup=999.*Bad file descriptor"):
        processes.clone3(0, cgroup=999)


@pytest.mark.root
def test_a_descriptor_of_another_process(tmp_path: Path) -> None:
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        (tmp_path / "f").write_text("theirs")
        number = os.open(tmp_path / "f", os.O_RDONLY)
        os.write(into, str(number).encode())
        signal.pause()
    try:
        pidfd = syscalls.pidfd_open(child)
        found = processes.getfd(pidfd, int(os.read(out, 20)))
        assert os.read(found, 10) == b"theirs"
        for descriptor in (found, pidfd, out, into):
            os.close(descriptor)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_scheduling() -> None:
    def policy() -> object:
        scheduling.set_scheduler(scheduling.POLICIES["SCHED_BATCH"], 0, 7, 0, (0, 0, 0))
        return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)

    assert in_child(policy) == "(3, 7)"
    assert in_child(lambda: scheduling.set_affinity({0}) or status("Cpus_allowed_list")) == "0"


def test_io_priority() -> None:
    def class_and_level() -> object:
        scheduling.set_io_priority(scheduling.IO_CLASSES["IOPRIO_CLASS_IDLE"], 0)
        idle = call("ioprio_get", 1, 0)
        scheduling.set_io_priority(scheduling.IO_CLASSES["IOPRIO_CLASS_BE"], 6)
        return idle >> 13, call("ioprio_get", 1, 0)

    assert in_child(class_and_level) == f"(3, {2 << 13 | 6})"


def test_personality() -> None:
    # uname(2) of a 32-bit program: the kernel's compatible machine
    machine = {"x86_64": "i686", "aarch64": "armv8l"}[os.uname().machine]

    def linux32() -> str:
        scheduling.set_personality(scheduling.DOMAINS["LINUX32"])
        return os.uname().machine

    assert in_child(linux32) == machine


def test_memory_policy() -> None:
    def bound() -> str:
        scheduling.set_memory_policy(scheduling.MEMORY_MODES["MPOL_BIND"], [0])
        return Path("/proc/self/numa_maps").read_text().splitlines()[0].split()[1]

    if Path("/proc/self/numa_maps").exists():  # a kernel with CONFIG_NUMA
        assert in_child(bound) == "bind:0"


@pytest.mark.root
def test_a_new_mount_lies_nowhere_until_it_is_put(tmp_path: Path) -> None:
    def put() -> str:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, 1 << 18 | 1 << 14)  # MS_PRIVATE, MS_REC
        tree = mountapi.new_mount(
            "tmpfs", [("size", "64k"), ("mode", "0751")], syscalls.MOUNT_ATTR_NODEV
        )
        before = [row for row in mounttable.read() if row.point == str(tmp_path)]
        target = os.open(tmp_path, os.O_PATH)
        syscalls.put_tree(tree, target)
        [row] = [row for row in mounttable.read() if row.point == str(tmp_path)]
        return f"{before} {row.kind} {'nodev' in row.options} {'size=64k' in row.data}"

    assert in_child(put) == "[] tmpfs True True"


@pytest.mark.root
def test_what_the_kernel_has_against_a_mount_is_in_the_error() -> None:
    with pytest.raises(OSError, match="tmpfs: Bad value for 'size'"):
        mountapi.new_mount("tmpfs", [("size", "many")])
    with pytest.raises(OSError, match="fsopen"):
        mountapi.open_file_system("nosuchfs")

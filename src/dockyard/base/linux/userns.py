"""Turns id mappings into those of a process's user namespace, with whatever rights there are.

user_namespaces(7): with CAP_SETUID they are written; an ordinary user's single own id too; more
needs newuidmap(1) and newgidmap(1), which look into /etc/subuid and /etc/subgid.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from dockyard.base.errors import Denied
from dockyard.base.linux import capabilities
from dockyard.base.linux.syscalls import CLONE_NEWUSER, PR_SET_DUMPABLE, prctl, unshare

Ranges = Sequence[tuple[int, int, int]]
"""First id inside, first id outside, how many."""
TOOLS = {"uid_map": "newuidmap", "gid_map": "newgidmap"}


def lines(ranges: Ranges) -> str:
    """What ``uid_map`` takes, in one write(2)."""
    return "".join("{} {} {}\n".format(*one) for one in ranges)


def tool(name: str) -> str:
    """Where newuidmap or newgidmap is; empty: not installed."""
    places = [f"{folder}/{name}" for folder in ("/usr/bin", "/bin", "/usr/local/bin")]
    return next((path for path in places if os.access(path, os.X_OK)), "")


def run_inside(uids: Ranges, gids: Ranges, act: Callable[[], None]) -> int:
    """Call it as root of a user namespace with these ids, in a process of its own: its status.

    Only in a process with one thread.
    """
    theirs, ours = os.pipe()
    said, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            unshare(CLONE_NEWUSER)
            prctl(PR_SET_DUMPABLE, 1)  # newuidmap(1) wants to see whose process this is
            os.write(tell, b"x")
            if os.read(theirs, 1):
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
                act()
                os._exit(0)
        finally:
            os._exit(1)
    os.close(theirs)
    os.close(tell)
    try:
        if os.read(said, 1):
            write_maps(pid, uids, gids)
            os.write(ours, b"x")
    finally:
        os.close(ours)
        os.close(said)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def write_maps(pid: int, uids: Ranges, gids: Ranges) -> None:
    """Of a process that has just made its namespace. Raises ``OSError`` or :class:`Denied`."""
    held = capabilities.effective()
    for name, ranges, right, own in (
        ("uid_map", uids, "CAP_SETUID", os.geteuid()),
        ("gid_map", gids, "CAP_SETGID", os.getegid()),
    ):
        single = len(ranges) == 1 and ranges[0][1:] == (own, 1)
        if held >> capabilities.NUMBERS[right] & 1:
            _write(pid, name, lines(ranges))
        elif single:
            if name == "gid_map":  # else supplementary groups could be dropped that forbid
                _write(pid, "setgroups", "deny")
            _write(pid, name, lines(ranges))
        else:
            _by_tool(pid, name, ranges)


def _write(pid: int, name: str, text: str) -> None:
    path = f"/proc/{pid}/{name}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        shown = text.strip().replace("\n", ", ")
        raise type(error)(error.errno, f"{name}: {shown}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _by_tool(pid: int, name: str, ranges: Ranges) -> None:
    program = tool(TOOLS[name])
    if not program:
        raise Denied(f"{name}: {lines(ranges).strip()}: only {TOOLS[name]} may map more"
                     " than one's own id; install it (Debian: uidmap)")  # fmt: skip
    words = [str(number) for one in ranges for number in one]
    said = os.memfd_create("said")
    try:
        child = os.posix_spawn(
            program, [program, str(pid), *words], {"PATH": "/usr/bin:/bin"},
            file_actions=[(os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)],
            setsigdef=range(1, 32), setsigmask=[],
        )  # fmt: skip
        _, status = os.waitpid(child, 0)
        if status:
            text = os.pread(said, 2000, 0).decode(errors="replace").strip()
            raise Denied(f"{name}: {' '.join(words)}: {text or f'{program} failed'}")
    finally:
        os.close(said)

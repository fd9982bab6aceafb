"""Turns id mappings into those of a process's user namespace, with whatever rights there are.

user_namespaces(7): with CAP_SETUID they are written; an ordinary user's single own id too; more
needs newuidmap(1) and newgidmap(1), which look into /etc/subuid and /etc/subgid.
"""

from __future__ import annotations

import os

from dockyard.base.errors import Denied
from dockyard.base.linux import capabilities
from dockyard.base.oci import idmaps
from dockyard.base.oci.idmaps import IdMap

_TOOLS = {"uid_map": "newuidmap", "gid_map": "newgidmap"}


def write_maps(pid: int, uids: IdMap, gids: IdMap) -> None:
    """Of a process that has just made its namespace. Raises ``OSError`` or :class:`Denied`."""
    held = capabilities.effective()
    for name, ranges, right, own in (
        ("uid_map", uids, "CAP_SETUID", os.geteuid()),
        ("gid_map", gids, "CAP_SETGID", os.getegid()),
    ):
        single = len(ranges) == 1 and ranges[0].size == 1 and ranges[0].outside == own
        if held >> capabilities.NUMBERS[right] & 1:
            _write(pid, name, idmaps.lines(ranges))
        elif single:
            if name == "gid_map":  # else supplementary groups could be dropped that forbid
                _write(pid, "setgroups", "deny")
            _write(pid, name, idmaps.lines(ranges))
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


def _by_tool(pid: int, name: str, ranges: IdMap) -> None:
    places = [f"{folder}/{_TOOLS[name]}" for folder in ("/usr/bin", "/bin", "/usr/local/bin")]
    program = next((path for path in places if os.access(path, os.X_OK)), "")
    if not program:
        raise Denied(f"{name}: {idmaps.lines(ranges).strip()}: only {_TOOLS[name]} may map more"
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

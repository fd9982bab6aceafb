"""Turns ``--ipc``, ``--pid``, ``--uts``, ``--userns`` and ``--cgroupns`` words into namespaces."""

from __future__ import annotations

from dockyard.base.errors import Conflict, Invalid, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

WRONG = {"pid": "--pid: invalid PID mode", "uts": "--uts: invalid UTS mode",
         "ipc": "Invalid IPC mode: {}", "cgroupns": "--cgroupns: invalid CGROUP mode",
         "userns": "--userns: invalid USER mode"}  # fmt: skip
"""Docker's words for a mode that there is not."""


def joined(options: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """(kind, ``host`` or another container) of those that are not its own."""
    if options.userns not in ("", "host"):
        raise Invalid(WRONG["userns"])
    if options.cgroupns not in ("", "host", "private"):
        raise Invalid(WRONG["cgroupns"])
    if options.ipc == "shareable":
        raise Unsupported("--ipc shareable: not implemented: /dev/shm would not be shared; "
                          "private, none, host or container:ID")  # fmt: skip
    found = []
    for kind in ("ipc", "pid", "uts"):
        mode = getattr(options, kind)
        if mode == "" or (kind == "ipc" and mode in ("private", "none")):
            continue
        other = mode.removeprefix("container:")
        if mode != "host" and (other == mode or not other or kind == "uts"):
            raise Invalid(WRONG[kind].format(mode))
        found.append((kind, other))
    if options.uts == "host" and (options.hostname or options.domainname):
        raise Conflict("conflicting options: hostname and the UTS mode")
    if options.cgroupns == "host":
        found.append(("cgroup", "host"))
    return tuple(found)

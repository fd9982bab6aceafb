"""Turns what goes through the door to the kernel into messages on a socket, for who explains it.

Each message is one call, a JSON object: ``call``, ``args``, ``result`` or ``error`` (an errno's
name), and ``paths``: what the descriptors among the arguments lead to. The socket (seqpacket) keeps
messages whole and in order, and tells the reader whose they are: unix(7), SO_PASSCRED. Forks
inherit it; an exec closes it; the reader sees its end when the last has stopped.
"""

import contextlib
import ctypes
import errno
import json
import os
import socket

from dockyard.base.linux import door

_DESCRIPTORS = {
    "write": (0,), "fchdir": (0,), "fchown": (0,), "setns": (0,), "openat2": (0,),
    "open_tree": (0,), "mount_setattr": (0,), "move_mount": (0, 2), "mkdirat": (2,),
    "mknodat": (3,), "fchownat": (3,), "symlinkat": (2,), "fsconfig": (0,), "fsmount": (0,),
    "dup2": (0,), "ioctl": (0,), "sendto": (0,),
}  # fmt: skip
"""Which arguments are descriptors, in the order in which the door gets them."""
_IN_PROC = "/proc/self/fd/"
_LONGEST = 4096
STARTED = "started"
"""Not a call: the monitor has seen that the program is executed, or why not. Its pid is the
argument."""


class _State:
    """Of this process."""

    sending: socket.socket | None = None
    filtered = False
    """Under a seccomp filter: who knows what it allows beyond what has to be done."""


def start(sending: socket.socket) -> None:
    """Record everything from here on, in this process and its forks."""
    _State.sending = sending
    door.descriptor = sending.fileno()
    door.recorder = record


def stop() -> None:
    """Record nothing more in this process."""
    door.recorder, door.descriptor = None, -1
    if _State.sending is not None:
        _State.sending.close()
        _State.sending = None


def started(pid: int, error: Exception | None) -> None:
    """The program of that process is executed, or not: the last word of whoever watched it."""
    record(STARTED, (pid,), error)
    stop()


def record(name: str, arguments: tuple[object, ...], result: object) -> None:
    """Send one call. Whoever does not listen any more is no reason to fail."""
    if name.startswith("clone") and result == 0:  # the child's: its parent tells of it
        return
    if name == "setsid" and result is None:  # Python keeps it to itself: setsid(2)
        result = os.getpid()
    message: dict[str, object] = {"call": name, "args": [plain(each) for each in arguments]}
    if isinstance(result, OSError):
        message["error"] = errno.errorcode.get(result.errno or 0, str(result.errno))
    elif isinstance(result, Exception):
        message["error"] = str(result)
    else:
        message["result"] = result if isinstance(result, int) else None
    if not _State.filtered and (paths := _paths(name, arguments)):
        message["paths"] = paths
    _State.filtered |= name == "seccomp"
    if _State.sending is not None:
        with contextlib.suppress(OSError):
            _State.sending.send(json.dumps(message).encode(), socket.MSG_NOSIGNAL)


def plain(value: object) -> object:
    """An argument as JSON has it. What is large or a pointer is not in it."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return os.fsdecode(value[:_LONGEST])
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, ctypes.Structure):
        fields = ((field[0], getattr(value, field[0])) for field in value._fields_)
        return {key: plain(each) for key, each in fields if isinstance(each, int)}
    if isinstance(value, dict):  # variables may be secrets: how many they are
        return {"variables": len(value)}
    if isinstance(value, (tuple, list)) or (
        isinstance(value, ctypes.Array) and isinstance(value[0], ctypes.Structure)
    ):
        return [plain(each) for each in value]
    return "..."


def _paths(name: str, arguments: tuple[object, ...]) -> dict[str, str]:
    """Descriptor -> where it leads."""
    numbers = {arguments[place] for place in _DESCRIPTORS.get(name, ()) if place < len(arguments)}
    for argument in arguments:
        if isinstance(argument, str) and argument.startswith(_IN_PROC):
            numbers.add(argument[len(_IN_PROC) :])
    found = {}
    for number in numbers:
        with contextlib.suppress(OSError):
            found[str(number)] = os.readlink(f"{_IN_PROC}{number}")
    return found

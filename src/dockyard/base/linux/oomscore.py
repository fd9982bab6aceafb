"""Turns a place in the order in which the kernel kills when a machine has no memory left into this
process's ``oom_score_adj`` (proc(5)): -1000 is never, 1000 is first.

Those who look after containers come after every container, as dockerd (-500), containerd's shims
(-998) and the kubelet (-999) do. Whoever they fork for a container is an ordinary process again.
"""

from __future__ import annotations

import os

OWN = "/proc/self/oom_score_adj"
NODE = -999
"""Of a cluster's processes on a node: as the kubelet's ``--oom-score-adj``."""
MONITOR = -998
LACKING = (
    f"oom_score_adj {NODE}: it needs CAP_SYS_RESOURCE; when this machine has no memory left the "
    "kernel may end this process before a container"
)


def of(pid: int) -> int:
    """Of any process."""
    return _read(f"/proc/{pid}/oom_score_adj")


def lower(score: int, file: str = OWN) -> bool:
    """Be killed no sooner than this. False: it needs a right that this process lacks."""
    if _read(file) <= score:
        return True
    try:
        _write(file, score)
    except PermissionError:
        return False
    return True


def ordinary(file: str = OWN) -> None:
    """No better off than others, as far as this process may say so: the files of an ordinary user's
    that may not be looked at (PR_SET_DUMPABLE) are root's."""
    if _read(file) < 0:
        try:
            _write(file, 0)
        except PermissionError:
            return


def _read(file: str) -> int:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(descriptor, 16))
    finally:
        os.close(descriptor)


def _write(file: str, score: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"%d" % score)
    finally:
        os.close(descriptor)

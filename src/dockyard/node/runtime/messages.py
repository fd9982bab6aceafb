"""The words between a process on its way into a container and whoever forked it.

On a seqpacket socket, one message a packet. The child says ``READY`` when namespaces and tree are
there (a terminal's master comes along), the parent ``START`` with the seccomp filter; then the
socket closes by the exec, or brings an error as JSON, or the four bytes of the relay. A container's
init that can give up its rights before the start has got the filter by then: by the fork, or as
``FILTER``.

What only the parent can do is asked for, and answered with ``GO``: ``MAP`` its user namespace's
ids; ``HOOKS`` that run outside; ``LISTENER`` with a seccomp descriptor that comes along. ``PID``
and a number: a sibling goes on in its place.
"""

from dockyard.base.linux import cloneflags

READY, START = b"ready", b"start"
MAP, HOOKS, LISTENER, GO = b"map", b"hooks", b"listener", b"go"
PID = b"pid "
FILTER = b"filter"
LONGEST_MESSAGE = 65536

FLAGS = {
    "user": cloneflags.CLONE_NEWUSER,
    "mount": cloneflags.CLONE_NEWNS,
    "network": cloneflags.CLONE_NEWNET,
    "ipc": cloneflags.CLONE_NEWIPC,
    "uts": cloneflags.CLONE_NEWUTS,
    "cgroup": cloneflags.CLONE_NEWCGROUP,
    "pid": cloneflags.CLONE_NEWPID,
    "time": cloneflags.CLONE_NEWTIME,
}
"""Namespace of a specification -> the kernel's flag."""

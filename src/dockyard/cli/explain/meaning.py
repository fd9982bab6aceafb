"""Turns a kernel call into what it isolates, and the manual pages that say more. Pure.

A call that only prepares another (it opens a file, it looks for a path) has no meaning of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from dockyard.cli.explain.flags import ROUTE_MESSAGES
from dockyard.cli.explain.notation import UNFIT


class Meaning(NamedTuple):
    """What a call is for."""

    isolates: str
    """Empty: nothing by itself."""
    pages: tuple[str, ...]


Arguments = list[Any]
Paths = dict[str, str]

NAMESPACES = {
    0x20000000: ("processes: the first child is number 1 and sees no other's", "pid_namespaces(7)"),
    0x20000: ("mounts: what it mounts, nobody else sees", "mount_namespaces(7)"),
    0x40000000: ("network: interfaces, addresses, routes, ports of its own",
                 "network_namespaces(7)"),
    0x8000000: ("message queues, semaphores and shared memory", "ipc_namespaces(7)"),
    0x4000000: ("host name and domain name", "uts_namespaces(7)"),
    0x2000000: ("control groups: its own group is the root that it sees", "cgroup_namespaces(7)"),
    0x10000000: ("users: its root is nobody outside", "user_namespaces(7)"),
    0x80: ("clocks: its own boot and monotonic time", "time_namespaces(7)"),
}  # fmt: skip
FILE_SYSTEMS = {
    "proc": ("its /proc shows the processes of its own pid namespace", "proc(5)"),
    "sysfs": ("its /sys shows the devices of its own network namespace", "sysfs(5)"),
    "tmpfs": ("files of its own in memory, gone with it", "tmpfs(5)"),
    "devpts": ("terminals of its own: none of the host's can be opened", "pts(4)"),
    "mqueue": ("the message queues of its own ipc namespace", "mq_overview(7)"),
    "cgroup": ("its own control groups, seen from inside", "cgroups(7)"),
    "cgroup2": ("its own control groups, seen from inside", "cgroups(7)"),
    "overlay": (
        "its root: the image below, never written to, and its own changes above",
        "mount(8)",
    ),
}
GROUP_FILES = {
    "memory": "memory, at most", "cpu": "time on processors", "cpuset": "which processors it uses",
    "pids": "processes, at most", "blkio": "speed of disks", "io": "speed of disks",
    "devices": "devices that may be opened: all others are refused", "hugetlb": "huge pages",
    "freezer": "whether it is frozen", "rdma": "remote memory",
}  # fmt: skip
PLAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "clone": ("a process of its own", ("fork(2)",)),
    "setsid": ("a session of its own: no terminal of the caller's sends it signals", ()),
    "sethostname": ("its own host name, in its uts namespace", ("uts_namespaces(7)",)),
    "setdomainname": ("its own domain name, in its uts namespace", ("uts_namespaces(7)",)),
    "pivot_root": ("the root: the container's tree takes the place of the host's", ()),
    "umount2": ("the host's tree is let go of: no path leads back", ()),
    "chroot": ("the root of paths; a process with rights can still climb out", ()),
    "fsmount": ("a mount that lies nowhere yet", ()),
    "move_mount": ("puts a mount where the container sees it", ()),
    "mknodat": ("a device of its own /dev: only harmless ones are made", ("mknod(2)", "null(4)")),
    "keyctl": ("keys: the host's keyrings are out of reach", ("keyrings(7)",)),
    "seccomp": ("system calls: what a container has no need of is refused", ("seccomp(2)",)),
    "setgroups": ("groups: none of the caller's are left", ()),
    "setresgid": ("who it is: its group", ("credentials(7)",)),
    "setresuid": ("who it is: its user", ("credentials(7)",)),
    "capset": ("rights: what is left of root's", ("capabilities(7)",)),
    "ioctl": ("its own 127.0.0.1: the loopback device is turned on", ("netdevice(7)",)),
    "prlimit64": ("a limit of each of its processes", ("getrlimit(2)",)),
    "close_range": ("files that the caller had open: closed", ()),
    "execve": ("the program: nothing of this process's memory is left", ()),
    "execveat": ("the program: nothing of this process's memory is left", ()),
    "bpf": ("devices that may be opened, decided by a program in the kernel", ("cgroups(7)",)),
    "dup2": ("its standard streams", ()),
    "personality": ("how the kernel behaves towards it", ()),
    "sched_setattr": ("how it is scheduled", ("sched(7)",)),
    "ioprio_set": ("its place among those who read and write", ()),
}
PR = {
    1: "it ends when its monitor does",
    4: "its memory: no other process may look at it",
    8: "keeps rights over the change of user, to give them up one by one",
    38: "rights: no set-uid program can add any",
    47: "rights that programs inherit: none",
}


def meaning(call: str, args: Arguments, paths: Paths) -> Meaning:
    """What is known of a call. ``paths``: where descriptors among the arguments lead."""
    isolates, more = PLAIN.get(call, ("", ()))
    if call in _ASKED:
        with contextlib.suppress(*UNFIT):
            isolates, more = _ASKED[call](args, paths)
    page = "prlimit(2)" if call == "prlimit64" else f"{call}(2)"
    return Meaning(isolates, tuple(dict.fromkeys((page, *more))))


def _namespaces(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    bits = args[0]["flags"] if isinstance(args[0], dict) else args[-1]
    found = [named for bit, named in NAMESPACES.items() if bits & bit]
    return "; ".join(text for text, _ in found), tuple(page for _, page in found)


def _clone3(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    isolates, pages = _namespaces(args, paths)
    return isolates or "a process of its own", ("clone(2)", *pages)


def _setns(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    isolates, pages = _namespaces(args, paths)
    return f"joins a namespace that there is already: {isolates}", pages


def _mount(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    source, _, kind, bits, _ = args
    if bits & 0x1000:  # MS_BIND
        null = paths.get(str(source).rpartition("/")[2], source) == "/dev/null"
        return ("hidden: /dev/null lies over it" if null else "a part of the host's tree", ())
    if kind is None and bits & 0xE0000:
        return "mounts: what happens here does not spread to the host", ("mount_namespaces(7)",)
    if kind == "tmpfs" and bits & 1 and "size=0k" in str(args[4]):
        return "hidden: an empty folder lies over it", ("tmpfs(5)",)
    text, page = FILE_SYSTEMS.get(str(kind), ("a file system of its own", "filesystems(5)"))
    return text, (page,)


def _mount_setattr(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    wanted = args[3]
    if wanted["set"] & 0x100000:
        return "owners: shown through the user namespace's mapping", ("user_namespaces(7)",)
    if wanted["set"] & 1:
        return "can be read, not written", ()
    if wanted["propagation"]:
        return "mounts: what happens here spreads nowhere", ("mount_namespaces(7)",)
    return "", ()


def _prctl(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    if args[0] == 24:  # PR_CAPBSET_DROP
        return "rights: gone for good, for it and whatever it executes", ("capabilities(7)",)
    return PR.get(args[0], ""), ()


def _write(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    path = paths.get(str(args[0]), "")
    name = os.path.basename(path)
    if path.startswith("/sys/fs/cgroup/"):
        if name in ("tasks", "cgroup.procs"):
            return "puts itself into the control group: its limits hold from here on", (
                "cgroups(7)",
            )
        controller = name.partition(".")[0]
        return GROUP_FILES.get(controller, "a setting of its control group"), ("cgroups(7)",)
    if name == "oom_score_adj":
        return "who is ended first when memory is short", ("proc(5)",)
    if name in ("uid_map", "gid_map", "setgroups"):
        return "who its users are outside", ("user_namespaces(7)",)
    if "/sys/" in path:
        return "a kernel setting of its own namespace", ("sysctl(8)",)
    return "", ()


def _sendto(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    """Requests that change something; the others only ask."""
    name = ROUTE_MESSAGES.get(args[2], "")
    if args[1] != 0 or "_GET" in name or not name:
        return "", ("netlink(7)",)
    if "LINK" in name:
        return "network: a cable between its namespace and the machine's", (
            "rtnetlink(7)",
            "veth(4)",
        )
    return "network: its addresses, and the ways from and to it", ("rtnetlink(7)",)


def _mkdir(args: Arguments, paths: Paths) -> tuple[str, tuple[str, ...]]:
    if str(args[0]).startswith("/sys/fs/cgroup/"):
        return "a control group of its own, for limits and for counting", ("cgroups(7)",)
    return "", ()


_ASKED: dict[str, Callable[[Arguments, Paths], tuple[str, tuple[str, ...]]]] = {
    "unshare": _namespaces,
    "setns": _setns,
    "clone3": _clone3,
    "mount": _mount,
    "mount_setattr": _mount_setattr,
    "prctl": _prctl,
    "write": _write,
    "mkdir": _mkdir,
    "sendto": _sendto,
}

"""Turns what is mounted as control groups into a layout, and a group's files into values and back.

The one place that parses files of cgroupfs. Version 1 has a hierarchy a controller (or several, as
``cpu,cpuacct``), version 2 one for all; where both are mounted each controller is in one of them.
See cgroups(7), and cgroup-v1/ and cgroup-v2.rst of the kernel's documentation.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.linux import mounttable
from dockyard.base.linux.door import through
from dockyard.base.remembered import remembered
from dockyard.base.typed import NamedTuple

USUAL = "/sys/fs/cgroup"
_PIECE = 4096
V1_NAMES = frozenset(
    "cpu cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls net_prio perf_event"
    " rdma misc".split()
)


class Layout(NamedTuple):
    """Where a machine's controllers are."""

    v1: dict[str, str]
    """Controller, or ``name=systemd`` for a hierarchy without one -> where it is mounted."""
    v2: str
    """Where the unified hierarchy is mounted; empty where it is not."""
    unified: frozenset[str]
    """The controllers that the unified hierarchy has."""
    roots: tuple[str, ...]
    """Every hierarchy of version 1, once."""

    @property
    def pure(self) -> bool:
        """Whether every controller is version 2."""
        return bool(self.v2) and not self.v1


@remembered(1)
def layout() -> Layout:
    """This machine's. Read once: a hierarchy that holds groups cannot be unmounted."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        found = parse_mounts("".join(line for line in file if " - cgroup" in line))
    if not found.v2:
        return found
    return found._replace(unified=frozenset(words(f"{found.v2}/cgroup.controllers")))


def counts_swap() -> bool:
    """Whether memory groups of this machine limit swap: a kernel may have been built without."""
    found = layout()
    if "memory" in found.v1:
        return os.path.exists(f"{found.v1['memory']}/memory.memsw.limit_in_bytes")
    return os.path.exists("/proc/swaps")


def parse_mounts(text: str) -> Layout:
    """The layout that a mount table tells, but for version 2's controllers.

    A hierarchy may be mounted several times: what is mounted whole comes before what is mounted
    in part, and the usual place before others.
    """
    v1: dict[str, tuple[int, str]] = {}
    v2: tuple[int, str] = (9, "")
    for row in mounttable.parse(text):
        found = 2 * (row.root != "/") + (not row.point.startswith(USUAL)), row.point
        if row.kind == "cgroup2":
            v2 = min(v2, found, key=_rank)
        elif row.kind == "cgroup":
            for name in row.data:
                if name in V1_NAMES or name.startswith("name="):
                    v1[name] = min(v1.get(name, (9, "")), found, key=_rank)
    names = sorted(v1, key=lambda name: (v1[name][1], name))
    places = {name: v1[name][1] for name in names}
    return Layout(places, v2[1], frozenset(), tuple(dict.fromkeys(places.values())))


def _rank(found: tuple[int, str]) -> int:
    return found[0]


@remembered(1)
def delegated() -> str:
    """Below which group this process's user makes groups: empty for root, else the uppermost above
    its own that is this user's (cgroup-v2.rst, "Delegation"); version 2 alone delegates."""
    root = layout().v2
    if os.geteuid() == 0 or not root:
        return ""
    above = ""
    for part in own().split("/"):
        above = f"{above}/{part}" if above else part
        if os.access(f"{root}/{above}", os.W_OK) and os.access(
            f"{root}/{above}/cgroup.procs", os.W_OK
        ):
            return above
    return ""


def below(path: str) -> str:
    """Where a path of a specification is, seen from a hierarchy's root, without outer slashes."""
    above, path = delegated(), path.strip("/")
    return path if not above or path.startswith(f"{above}/") else f"{above}/{path}"


def own(pid: int | str = "self") -> str:
    """The group of the unified hierarchy that a process is in, without its outer slashes."""
    for line in (read(f"/proc/{pid}/cgroup") or "").split("\n"):
        if line.startswith("0::"):
            return line[3:].strip("/")
    return ""


def folders(path: str) -> list[str]:
    """The folders of a group, there or not, one a hierarchy."""
    found = layout()
    return [f"{root}/{path}" for root in (*found.roots, *([found.v2] if found.v2 else ()))]


def folder(controller: str, path: str) -> str:
    """Where a controller keeps a group; empty where this machine lacks the controller."""
    found = layout()
    if controller in found.v1:
        return f"{found.v1[controller]}/{path}"
    return f"{found.v2}/{path}" if controller in found.unified else ""


def subgroups(place: str) -> list[str]:
    """The folders of the groups right below one."""
    try:
        with os.scandir(place) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def pids(place: str) -> list[int]:
    """The processes of a group and of those below it; none where it is not there."""
    try:
        listed = read(f"{place}/cgroup.procs")
        if listed is None:
            return []
        found = [int(word) for word in listed.split()]
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a threaded group of version 2 names threads only
            raise
        found = [int(word) for word in words(f"{place}/cgroup.threads")]
    for inner in subgroups(place):
        found += pids(inner)
    return found


# what is read


def read(file: str) -> str | None:
    """What a file holds; None where it or its group is not there."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:  # without a file object, which costs more time and memory than what is read
        found = b""
        while piece := os.read(descriptor, _PIECE):
            found += piece
        return found.decode("utf-8", "surrogateescape")  # names of groups are bytes
    except OSError as error:
        if error.errno == errno.ENODEV:  # the group was removed while the file was open
            return None
        raise
    finally:
        os.close(descriptor)


def words(file: str) -> list[str]:
    """A list of words; none where the file is not there."""
    return (read(file) or "").split()


def number(file: str) -> int:
    """One number. ``max``, which is no limit, is -1; 0 where the file is not there."""
    text = (read(file) or "0").strip()
    return -1 if text == "max" else int(text or 0)


def flat(file: str) -> dict[str, int]:
    """Lines of a key and a number (memory.stat, cpu.stat); empty where the file is not there."""
    return parse_flat(read(file) or "")


def parse_flat(text: str) -> dict[str, int]:
    """The numbers of lines of a key and a number; other lines are left out."""
    pairs = (line.split() for line in text.splitlines())
    return {
        pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].lstrip("-").isdigit()
    }


def parse_nested(text: str) -> dict[str, dict[str, str]]:
    """Lines of a key and ``name=value`` words (io.stat, io.max, rdma.max)."""
    found = {}
    for line in text.splitlines():
        key, *rest = line.split() or [""]
        if key:
            found[key] = dict(word.split("=", 1) for word in rest if "=" in word)
    return found


# what is written


def write(file: str, *values: str) -> None:
    """Each value is one write(2), as the kernel's parsers want it."""
    try:
        descriptor = through("openat", os.open, file, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise missing(file) from None
    value = ""
    try:
        for value in values:
            through("write", os.write, descriptor, value.encode())
    except OSError as error:
        what = f"cgroup: {file}: {value.strip()!r}"
        if error.errno == errno.EOPNOTSUPP:
            raise Unsupported(f"{what}: this kernel refuses it") from error
        if error.errno in (errno.EINVAL, errno.ERANGE, errno.EBUSY, errno.ENODEV, errno.ENXIO):
            raise Invalid(f"{what}: {error.strerror}") from error
        raise OSError(error.errno, f"{what}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def missing(file: str) -> Exception:
    """Why a file that a limit would be written to is not there."""
    name = os.path.basename(file)
    if not os.path.isdir(os.path.dirname(file)):
        return FileNotFoundError(errno.ENOENT, f"cgroup: {file}: the group is not there")
    if "memsw" in name or name == "memory.swap.max":
        return Unsupported(f"cgroup: {file}: this kernel does not count swap")
    return Unsupported(f"cgroup: {file}: this kernel has no such limit")

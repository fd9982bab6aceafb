"""Turns a mount of type ``cgroup`` or ``cgroup2`` into what a container may see of control groups.

With a cgroup namespace of its own it sees its group as the root of each hierarchy, writable if the
mount is. Without one a hierarchy would show, and let root write, what belongs to the host
(release_agent, CVE-2022-0492): then it is read-only, whatever the mount says. Version 1: a folder a
hierarchy on a tmpfs, with links for controllers that share one; version 2: the hierarchy itself.
"""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.linux import cgroupfs, mountapi, syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.mountoptions import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from dockyard.base.oci.runtimespec import Mount
from dockyard.node.runtime import rootpath

HARD = MS_NOSUID | MS_NODEV | MS_NOEXEC
HARD_ATTRIBUTES = (
    syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
)
INITIAL = 0xEFFFFFFB
"""The inode of the first cgroup namespace (PROC_CGROUP_INIT_INO of the kernel)."""


def put(root: int, mount: Mount) -> None:
    """Mount what this machine has of control groups in the root that the descriptor stands for.

    In the container's namespaces, in its group, before the host's tree is left.
    """
    layout = cgroupfs.layout()
    if mount.options.data:
        raise Invalid(f"mount: {mount.destination}: cgroup: option {mount.options.data!r}: unknown")
    second = layout.pure or mount.kind == "cgroup2"
    if not (layout.v2 if second else layout.v1):
        raise Unsupported(f"mount: {mount.destination}: this machine has no {mount.kind} mounted")
    groups = _groups()
    alone = os.stat("/proc/self/ns/cgroup").st_ino != INITIAL
    target = rootpath.open_plain_folder(root, mount.destination)
    try:
        if second:  # in a hybrid layout a container need not have a group there
            own = layout.pure and alone and groups.get("") == "/"
            _put_v2(target, layout.v2, mount.options.flags, own=own)
            return
        syscalls.mount("tmpfs", rootpath.fd_path(target), "tmpfs", HARD, "mode=755")
    finally:
        os.close(target)
    base = rootpath.open_plain_folder(root, mount.destination)
    try:
        for place in layout.roots:
            names = [name for name, point in layout.v1.items() if point == place]
            group = groups.get(names[0], "/")
            own = alone and group == "/"
            _put_v1(base, place, names, mount.options.flags, "" if own else group)
        if mount.options.flags & MS_RDONLY:
            syscalls.set_mount(base, add=syscalls.MOUNT_ATTR_RDONLY)
    finally:
        os.close(base)


def only_to_read(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """For a container without a group of its own: its namespace shows somebody else's."""
    return tuple(
        mount._replace(options=mount.options._replace(flags=mount.options.flags | MS_RDONLY))
        if mount.kind in ("cgroup", "cgroup2")
        else mount
        for mount in mounts
    )


def _groups() -> dict[str, str]:
    """The group that this process is in, by controller (empty: version 2), as its namespace has it.

    cgroups(7), /proc/[pid]/cgroup.
    """
    found = {}
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            found.update(dict.fromkeys(names.split(","), path))
    return found


def _put_v2(target: int, place: str, flags: int, *, own: bool) -> None:
    """The first namespace's is copied, not mounted: a mount there sets options for the machine."""
    if own:
        # not mount(2), which refuses it where /sys/fs/cgroup is bound to the host's already
        readonly = syscalls.MOUNT_ATTR_RDONLY if flags & MS_RDONLY else 0
        tree = mountapi.new_mount("cgroup2", (), HARD_ATTRIBUTES | readonly)
        try:
            syscalls.put_tree(tree, target)
        finally:
            os.close(tree)
    else:
        _put_copy(target, place)


def _put_v1(base: int, place: str, names: list[str], flags: int, group: str) -> None:
    """One hierarchy on a folder; ``group``: of the host's, copied; empty: the namespace's own."""
    name = os.path.basename(place)
    through("mkdirat", os.mkdir, name, 0o755, dir_fd=base)
    folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=base)
    try:
        if group:
            while not os.path.isdir(place + group) and group != "/":
                group = "/" + group[1:].partition("/")[2]  # a part of the hierarchy is mounted here
            _put_copy(folder, place + group)
        else:
            data = ",".join(f"none,{n}" if n.startswith("name=") else n for n in names)
            syscalls.mount("cgroup", rootpath.fd_path(folder), "cgroup", HARD | flags, data)
    finally:
        os.close(folder)
    for controller in names:
        if controller != name and "=" not in controller:
            through("symlinkat", os.symlink, name, controller, dir_fd=base)


def _put_copy(target: int, place: str) -> None:
    add = HARD_ATTRIBUTES | syscalls.MOUNT_ATTR_RDONLY
    syscalls.put_copy(place, target, recursive=False, add=add)

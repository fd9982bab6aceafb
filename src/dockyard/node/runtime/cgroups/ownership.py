"""Turns a container whose root is not the host's into the owner of its own group.

config-linux.md, "Cgroup ownership": with version 2, in a cgroup namespace of its own, with
/sys/fs/cgroup mounted writable. Then its init (systemd, say) can make groups below.
"""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.linux import cgroupfs
from dockyard.base.oci import idmaps
from dockyard.base.oci.mountoptions import MS_RDONLY
from dockyard.base.oci.runtimespec import Spec
from dockyard.node.runtime.cgroups.group import checked

DELEGATE = "/sys/kernel/cgroup/delegate"
"""Files whose owner changes too (Linux 4.15)."""
USUAL = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def owner(spec: Spec) -> int | None:
    """The uid outside that the container's user is, where it shall own its group; pure."""
    fresh = all(
        kind in spec.namespaces and not spec.namespaces[kind] for kind in ("cgroup", "user")
    )
    writable = any(
        mount.kind in ("cgroup", "cgroup2") and not mount.options.flags & MS_RDONLY
        for mount in spec.mounts
    )
    return idmaps.outside(spec.uids, spec.process.uid) if fresh and writable else None


def hand_over(spec: Spec) -> None:
    """Make it so, where this is version 2 and this process may."""
    if os.geteuid() != 0 or not spec.cgroup or not cgroupfs.layout().pure:
        return
    uid = owner(spec)
    if uid is None:
        return
    folder = f"{cgroupfs.layout().v2}/{checked(spec.cgroup)}"
    os.chown(folder, uid, -1)
    for name in cgroupfs.words(DELEGATE) or USUAL:
        with contexts.suppress(FileNotFoundError):  # of a controller that the group has not
            os.chown(f"{folder}/{name}", uid, -1)

"""Turns a specification into a container's file tree, inside a mount namespace of its own.

Runs in the container's init, before it gives up any right.
"""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid
from dockyard.base.linux import syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.mountoptions import (
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    MS_SLAVE,
)
from dockyard.base.oci.runtimespec import Spec
from dockyard.interfaces.ociruntime import Overlay
from dockyard.node.runtime import hiding, mounts, nodes, rootpath

LONGEST_DATA = 4095
"""mount(2) takes one page of data."""


def build(spec: Spec, overlay: Overlay | None, null: int) -> int:
    """Mount everything. Returns a descriptor of the root, not yet pivoted into.

    ``null`` is the host's /dev/null, for masking.
    """
    syscalls.mount(None, "/", None, MS_REC | MS_SLAVE)  # nothing that happens here is seen there
    root_path = os.path.realpath(spec.root)
    if overlay is not None:
        _mount_overlay(overlay, root_path)
    else:
        syscalls.mount(root_path, root_path, None, MS_BIND | MS_REC)
    root = os.open(root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.set_mount(root, propagation=MS_PRIVATE, recursive=True)
    for mount in spec.mounts:
        mounts.put(root, mount)
    nodes.make(root, spec)
    _write_sysctls(root, spec.sysctl)
    for path in spec.readonly:
        hiding.make_readonly(root, path)
    for path in spec.masked:
        hiding.mask(root, path, null)
    if spec.readonly_root:
        syscalls.set_mount(root, add=syscalls.MOUNT_ATTR_RDONLY)
    return root


def pivot(root: int) -> None:
    """Make the tree the process's root, and let go of the host's."""
    through("fchdir", os.fchdir, root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)  # the old root lies on top of the new one now
    through("chdir", os.chdir, "/")


def _mount_overlay(overlay: Overlay, target: str) -> None:
    """Folders are named by descriptors: mount(2) takes one page of data, and no commas in names."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        for folder in (overlay.upper, overlay.work, *overlay.lower):
            opened.append(os.open(folder, flags))  # noqa: PERF401 - those before are closed too
        upper, work, *lower = (rootpath.fd_path(descriptor) for descriptor in opened)
        data = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
        if len(data) > LONGEST_DATA:
            raise Invalid(f"overlay: {len(lower)} layers: more than mount(2) takes")
        syscalls.mount("overlay", target, "overlay", 0, data)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _write_sysctls(root: int, sysctls: dict[str, str]) -> None:
    if not sysctls:
        return
    proc = rootpath.open_plain_folder(root, "/proc")
    try:
        for name, value in sysctls.items():
            rootpath.write_proc(proc, f"sys/{name.replace('.', '/')}", value)
    finally:
        os.close(proc)

"""Turns a specification into a container's file tree, in its own mount namespace if it has one.

Runs in the container's init, before it gives up any right.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Denied
from dockyard.base.linux import syscalls
from dockyard.base.linux.door import through
from dockyard.base.linux.overlay import FUSE, NATIVE, unmark
from dockyard.base.oci.mountoptions import (
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    MS_SLAVE,
    PROPAGATION,
)
from dockyard.base.oci.runtimespec import Spec
from dockyard.base.suppress import suppress
from dockyard.interfaces.ociruntime import Overlay
from dockyard.node.runtime import cgroupmounts, hiding, hosttree, mounts, nodes, rootpath
from dockyard.node.runtime.parts import Chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


ROOT = -1
"""Among trees that are made already: the root's."""
LONGEST_DATA = 4095
"""mount(2) takes one page of data."""


def build(
    spec: Spec,
    overlay: Overlay | None,
    null: int,
    trees: Mapping[int, int],
    grouping: Callable[[], object],
    ahead: Chosen,
) -> tuple[int, list[int]]:
    """Mount everything. Returns a descriptor of the root, not yet pivoted into, and of the mounts
    that :func:`seal` makes read-only.

    ``null`` is the host's /dev/null, for masking; ``trees`` are bind mounts that are made already;
    ``grouping`` is called before what has to be made in the container's control group; ``ahead``
    is what was mounted before anybody asked.
    """
    own = "mount" in spec.namespaces
    if own:
        syscalls.mount(None, "/", None, MS_REC | MS_SLAVE)  # nothing that happens here spreads
    if ROOT in trees:  # its user may not be able to go there: it lies on top of the old root
        root = os.dup(trees[ROOT])
        below = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        syscalls.put_tree(root, below)
        os.close(below)
    else:
        root_path = os.path.realpath(spec.root)
        if not own:
            hosttree.begin(root_path)
        if overlay is not None:
            extra = "userxattr" if "user" in spec.namespaces else ""
            mount_root(overlay, root_path, extra=extra)
        elif own:
            syscalls.mount(root_path, root_path, None, MS_BIND | MS_REC)
        root = os.open(root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if spec.propagation.removeprefix("r") != "slave":
        syscalls.set_mount(root, propagation=MS_PRIVATE, recursive=True)
    wanted = spec.mounts if spec.cgroup else cgroupmounts.only_to_read(spec.mounts)
    trees = {**trees, **ahead.trees}
    later = mounts.put_all(root, wanted, trees, grouping, spec.mount_label, ahead.within)
    grouping()
    for tree in trees.values():
        os.close(tree)
    nodes.make(root, spec, usual=not ahead.devices)
    write_sysctls(spec.sysctl)
    for path in spec.readonly:
        if path not in ahead.paths:
            hiding.make_readonly(root, path)
    hiding.mask(root, [path for path in spec.masked if path not in ahead.paths], null)
    return root, later


def seal(root: int, spec: Spec, later: list[int]) -> None:
    """Make read-only what is to be, once the terminal and the hooks have written to it, and the
    program's working folder is there."""
    if spec.process.cwd != "/" and not spec.pause:
        with suppress(OSError, Denied):  # who goes there says why it cannot
            os.close(rootpath.open_target(root, spec.process.cwd, folder=True))
    for mounted in later:
        syscalls.set_mount(mounted, add=syscalls.MOUNT_ATTR_RDONLY)
        os.close(mounted)
    if spec.readonly_root:
        syscalls.set_mount(root, add=syscalls.MOUNT_ATTR_RDONLY)


def enter(root: int, spec: Spec) -> None:
    """Make the tree the process's root, and let go of the host's where that is not everybody's.

    The root gets its propagation last: pivot_root(2) does not take a shared one.
    """
    if "mount" in spec.namespaces:
        _pivot(root)
    else:
        hosttree.enter(root)
    if spec.propagation.removeprefix("r") in ("shared", "slave", "unbindable"):
        flags = PROPAGATION[spec.propagation]
        syscalls.mount(None, "/", None, flags)


def _pivot(root: int) -> None:
    through("fchdir", os.fchdir, root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)  # the old root lies on top of the new one now
    through("chdir", os.chdir, "/")


def prepare(spec: Spec, overlay: Overlay | None, joined: int) -> int:
    """The root of a container with ids of its own, as a tree that lies nowhere yet: made while
    this process has the host's rights, and paths."""
    root_path = os.path.realpath(spec.root)
    if overlay is not None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        _mount_shifted(spec, overlay, joined)
    tree = syscalls.clone_tree(root_path, recursive=True)
    syscalls.set_mount(tree, propagation=MS_SLAVE, recursive=True)
    return tree


def _mount_shifted(spec: Spec, overlay: Overlay, joined: int) -> None:
    """On disk its files have the ids that they have in the container; each layer is shown shifted,
    by a new namespace's mappings or those of the one that is joined.
    """
    from dockyard.base.linux import mountapi
    from dockyard.node.runtime import idmapped

    syscalls.mount(None, "/", None, MS_REC | MS_SLAVE)
    maps = [spec.uids, spec.gids] if spec.uids else idmapped.maps_of(joined)
    userns = idmapped.open_userns(*(idmapped.with_root(ranges) for ranges in maps))
    trees: list[int] = []
    try:
        if overlay.driver == NATIVE:
            tree = syscalls.clone_tree(overlay.upper, recursive=False)
            trees.append(tree)
            mountapi.map_ids(tree, userns, recursive=False)
            put(os.dup(tree), os.path.realpath(spec.root))
            return
        above = os.path.dirname(overlay.upper)  # both lie in one mount, as overlayfs wants it
        for folder in (above, *overlay.lower):
            tree = syscalls.clone_tree(folder, recursive=False)
            trees.append(tree)
            mountapi.map_ids(tree, userns, recursive=False)
        upper, *lower = (rootpath.fd_path(tree) for tree in trees)
        shifted = Overlay(
            tuple(lower),
            f"{upper}/{os.path.basename(overlay.upper)}",
            f"{upper}/{os.path.relpath(overlay.work, above)}",
            volatile=overlay.volatile,
        )
        mount_overlay(shifted, os.path.realpath(spec.root))
    finally:
        for descriptor in (*trees, userns):
            os.close(descriptor)


def mount_root(overlay: Overlay, target: str, extra: str = "") -> None:
    """A container's root, where it is this process that mounts it."""
    if overlay.driver == NATIVE:
        syscalls.mount(os.path.realpath(overlay.upper), target, None, MS_BIND)
    elif overlay.driver == FUSE:
        put(serve(overlay), target)
    else:
        mount_overlay(overlay, target, extra)


def serve(overlay: Overlay) -> int:
    """The root as a tree that lies nowhere yet, and a process that answers for it."""
    from dockyard.base.linux.fuseoverlay import open_tree

    return open_tree(overlay.lower, overlay.upper, overlay.work)


def put(tree: int, target: str) -> None:
    """Mount a tree that lies nowhere."""
    try:
        place = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.put_tree(tree, place)
        finally:
            os.close(place)
    finally:
        os.close(tree)


def mount_overlay(overlay: Overlay, target: str, extra: str = "") -> None:
    """An end of it writes what is left to the disk, but for a volatile one (Linux 5.10)."""
    if overlay.volatile:
        unmark(overlay.work)
        try:
            _mount_overlay(overlay, target, ",".join(filter(None, (extra, "volatile"))))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        else:
            return
    _mount_overlay(overlay, target, extra)


def _mount_overlay(overlay: Overlay, target: str, extra: str) -> None:
    """Folders are named by descriptors: mount(2) takes one page of data, and no commas in names."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        for folder in (overlay.upper, overlay.work, *overlay.lower):
            opened.append(os.open(folder, flags))  # noqa: PERF401 - those before are closed too
        upper, work, *lower = (rootpath.fd_path(descriptor) for descriptor in opened)
        data = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
        data = f"{data},{extra}" if extra else data
        if len(data) > LONGEST_DATA:
            _mount_many(lower, upper, work, target, extra)
            return
        syscalls.mount("overlay", target, "overlay", 0, data)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _mount_many(lower: list[str], upper: str, work: str, target: str, extra: str) -> None:
    from dockyard.base.linux.overlay import many_layers

    put(many_layers(lower, upper, work, extra), target)


def write_sysctls(sysctls: dict[str, str]) -> None:
    """By a procfs that lies nowhere: what somebody mounts over files of the container's, or leads
    them elsewhere by, is not met (CVE-2025-52881)."""
    if not sysctls:
        return
    from dockyard.base.linux import mountapi

    proc = mountapi.new_mount("proc", ())
    try:
        for name, value in sysctls.items():
            rootpath.write_proc(proc, f"sys/{name.replace('.', '/')}", value)
    finally:
        os.close(proc)

"""Turns a bind mount into a copy of its source that lies nowhere yet, as the container will see it.

Made with the rights and the paths of the host: for a container with a user namespace before that
is entered.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Unsupported
from dockyard.base.linux import syscalls
from dockyard.base.oci.mountoptions import (
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MountOptions,
    attributes,
)
from dockyard.base.oci.runtimespec import Mount, Spec


def is_bind(mount: Mount) -> bool:
    """Whether it shows something that is mounted already."""
    return bool(mount.options.flags & MS_BIND) or mount.kind == "bind"


def clone(mount: Mount, userns: int = -1) -> int:
    """The copy, with its attributes. ``userns``: whose ids an idmapped mount shows."""
    options = mount.options
    recursive = bool(options.flags & MS_REC)
    tree = syscalls.clone_tree(mount.source, recursive=recursive)
    try:
        if options.idmap:
            _map_ids(tree, mount, userns)
        add, clear = attributes(options)
        if add or clear:
            syscalls.set_mount(tree, add=add, clear=clear)
        if not options.propagation:
            syscalls.set_mount(tree, propagation=MS_PRIVATE, recursive=recursive)
        change(tree, options)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _map_ids(tree: int, mount: Mount, userns: int) -> None:
    from dockyard.base.linux import mountapi  # few mounts are idmapped

    recursive = mount.options.idmap == "ridmap"
    try:
        mountapi.map_ids(tree, userns, recursive=recursive)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        raise Unsupported(
            f"mount {mount.source} on {mount.destination}: {mount.options.idmap}: its file system"
            f" has no idmapped mounts, or they are not this user's to make: {error.strerror}"
        ) from error


def change(mounted: int, options: MountOptions) -> None:
    """Propagation and recursive attributes: mount_setattr(2)."""
    if options.set_below or options.clear_below:
        syscalls.set_mount(
            mounted, add=options.set_below, clear=options.clear_below, recursive=True
        )
    for propagation in options.propagation:
        syscalls.set_mount(
            mounted, propagation=propagation & ~MS_REC, recursive=bool(propagation & MS_REC)
        )


def early(mount: Mount) -> bool:
    """Whether a mount has to be copied with the host's rights, from the host's own peer group."""
    options = mount.options
    shared = any(propagation & MS_SHARED for propagation in options.propagation)
    return is_bind(mount) and (shared or bool(options.idmap))


def prepare(spec: Spec, *, everyone: bool, joined: int = -1) -> dict[int, int]:
    """Trees of the bind mounts that need rights which init will not have, or of all.

    ``joined``: the user namespace that the container joins. The caller closes what it gets; what
    fails leaves nothing open.
    """
    trees: dict[int, int] = {}
    try:
        for index, mount in enumerate(spec.mounts):
            if not (is_bind(mount) if everyone else early(mount)):
                continue
            userns = -1
            if mount.options.idmap:
                from dockyard.node.runtime import idmapped

                own = (mount.uids, mount.gids) if mount.uids else (spec.uids, spec.gids)
                userns = idmapped.open_userns(*own) if own[0] else os.dup(joined)
            try:
                trees[index] = clone(mount, userns)
            except OSError as error:
                what = f"mount {mount.source} on {mount.destination}"
                raise type(error)(error.errno, f"{what}: {error}") from error
            finally:
                if userns >= 0:
                    os.close(userns)
    except BaseException:
        for tree in trees.values():
            os.close(tree)
        raise
    return trees

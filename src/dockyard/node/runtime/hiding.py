"""Turns paths of a container's tree into ones that it cannot write, or cannot look into."""

from __future__ import annotations

import errno
import os
import stat

from dockyard.base.errors import Denied
from dockyard.base.linux import syscalls
from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.oci.mountoptions import (
    MS_BIND,
    MS_RDONLY,
)
from dockyard.node.runtime import rootpath


def make_readonly(root: int, path: str) -> None:
    """Nothing can be written there; a path that is not there is fine."""
    try:
        target = open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        return
    try:
        tree = syscalls.clone_tree(target, recursive=True)
        try:
            syscalls.set_mount(tree, add=syscalls.MOUNT_ATTR_RDONLY)
            syscalls.put_tree(tree, target)
        finally:
            os.close(tree)
    finally:
        os.close(target)


def mask(root: int, path: str, null: int) -> None:
    """Nothing can be read or written there: an empty folder, or /dev/null."""
    if not rootpath.is_null_device(null):
        raise Denied("mask: /dev/null of the host is not character device 1:3")
    try:
        target = open_in_root(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise
    try:
        if stat.S_ISDIR(os.fstat(target).st_mode):
            syscalls.mount("tmpfs", rootpath.fd_path(target), "tmpfs", MS_RDONLY, "size=0k")
        else:
            syscalls.mount(rootpath.fd_path(null), rootpath.fd_path(target), None, MS_BIND)
    finally:
        os.close(target)

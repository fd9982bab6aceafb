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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def make_readonly(root: int, path: str) -> None:
    """Nothing can be written there; a path that is not there is fine."""
    try:
        target = open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        return
    try:
        syscalls.put_copy(target, target, recursive=True, add=syscalls.MOUNT_ATTR_RDONLY)
    finally:
        os.close(target)


def mask(root: int, paths: Sequence[str], null: int) -> None:
    """Nothing can be read or written there: each is an empty folder, or /dev/null; one that is not
    there is fine. The folder is the same for all: a file system less to make, and to end."""
    if paths and not rootpath.is_null_device(null):
        raise Denied("mask: /dev/null of the host is not character device 1:3")
    empty = -1
    try:
        for path in paths:
            target = _opened(root, path)
            if target < 0:
                continue
            try:
                if not stat.S_ISDIR(os.fstat(target).st_mode):
                    syscalls.mount(rootpath.fd_path(null), rootpath.fd_path(target), None, MS_BIND)
                elif empty >= 0:
                    syscalls.put_copy(empty, target, recursive=False)
                else:
                    syscalls.mount("tmpfs", rootpath.fd_path(target), "tmpfs", MS_RDONLY, "size=0k")
                    empty = open_in_root(root, path, os.O_PATH)
            finally:
                os.close(target)
    finally:
        if empty >= 0:
            os.close(empty)


def _opened(root: int, path: str) -> int:
    try:
        return open_in_root(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return -1
        raise

"""Turns the devices of a specification, and those that every container has, into nodes in /dev."""

from __future__ import annotations

import os
import stat

from dockyard.base import contexts
from dockyard.base.errors import Denied
from dockyard.base.linux import syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.runtimespec import Device, Spec
from dockyard.node.runtime import rootpath

DEFAULT_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8),
                   ("urandom", 1, 9), ("tty", 5, 0))  # fmt: skip
LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
         ("stderr", "/proc/self/fd/2"))  # fmt: skip


def make(root: int, spec: Spec, *, usual: bool = True) -> None:
    """The default devices and links where /dev is the container's own tmpfs (not without
    ``usual``: they are there); those asked for."""
    user = "user" in spec.namespaces
    if usual:
        _make_usual(root, spec, user)
    for device in spec.devices:
        folder, _, name = device.path.rpartition("/")
        parent = rootpath.open_target(root, folder or "/", folder=True)
        try:
            if user and device.kind != "p":
                _bind_device(parent, _hosts(device), name)
            else:
                _make_device(parent, device._replace(path=name))
        finally:
            os.close(parent)


def _make_usual(root: int, spec: Spec, user: bool) -> None:
    dev = rootpath.open_target(root, "/dev", folder=True)
    try:
        ours = any(m.destination.rstrip("/") == "/dev" and m.kind == "tmpfs" for m in spec.mounts)
        if ours:
            for name, major, minor in DEFAULT_DEVICES:
                if user:
                    _bind_device(dev, f"/dev/{name}", name)
                else:
                    _make_device(dev, Device(name, "c", major, minor, 0o666, 0, 0))
            for name, target in LINKS:
                through("symlinkat", os.symlink, target, name, dir_fd=dev)
            if any(m.kind == "devpts" for m in spec.mounts):
                through("symlinkat", os.symlink, "pts/ptmx", "ptmx", dir_fd=dev)
    finally:
        os.close(dev)


def _hosts(device: Device) -> str:
    """The host's node of that number: at the same path, as runc has it."""
    found = os.stat(device.path)
    if (os.major(found.st_rdev), os.minor(found.st_rdev)) != (device.major, device.minor):
        raise Denied(
            f"device {device.path}: {device.major}:{device.minor}: the host has another there, and"
            " in a user namespace none can be made"
        )
    return device.path


def _bind_device(parent: int, source: str, name: str) -> None:
    """In a user namespace no node can be made: the host's is shown."""
    tree = syscalls.clone_tree(source, recursive=False)
    try:
        with contexts.suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o666, dir_fd=parent))
        target = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            syscalls.put_tree(tree, target)
        finally:
            os.close(target)
    finally:
        os.close(tree)


def _make_device(parent: int, device: Device) -> None:
    kind = {"b": stat.S_IFBLK, "p": stat.S_IFIFO}.get(device.kind, stat.S_IFCHR)
    number = os.makedev(device.major, device.minor)
    with contexts.suppress(FileExistsError):
        path, mode = device.path, kind | device.mode
        through("mknodat", os.mknod, path, mode, number, dir_fd=parent)
        owner = device.uid, device.gid
        through("fchownat", os.chown, path, *owner, dir_fd=parent, follow_symlinks=False)

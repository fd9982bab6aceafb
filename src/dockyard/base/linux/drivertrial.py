"""Turns a folder into the best storage driver that works there: each is tried out, on real files.

What decides is what a container does, not the name of a file system: a file and a folder of a layer
are removed and made anew, and the upper directory has to say so in overlayfs' own form.
"""

from __future__ import annotations

import errno
import os
import sys

from dockyard.base.errors import DockyardError
from dockyard.base.linux import whiteouts
from dockyard.base.linux.opaque import OPAQUE
from dockyard.base.linux.overlay import FUSE, NATIVE, OVERLAY, open_overlay

REFUSED = "overlayfs is not possible in {}: {}"


def best(folder: str) -> tuple[str, str]:
    """(driver, why not a better one)."""
    if not (wrong := attempt(folder, OVERLAY)):
        return OVERLAY, ""
    reason = REFUSED.format(folder, wrong)
    if os.geteuid() != 0:
        return NATIVE, f"{reason}; trees are copied"
    if not (wrong := attempt(folder, FUSE)):
        return FUSE, reason
    return NATIVE, f"{reason}; nor {wrong}; trees are copied"


def attempt(folder: str, driver: str) -> str:
    """Why the driver does not work here; empty where it does."""
    if os.geteuid() != 0:
        return _elsewhere(folder, driver)
    place = os.path.join(folder, f".trial-{os.urandom(6).hex()}")
    os.mkdir(place, 0o700)
    try:
        return _attempt(place, driver)
    except (OSError, DockyardError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return text[:300]
    finally:
        _remove(place)


def _remove(place: str) -> None:
    """Ours alone, and small."""
    for folder, folders, files in os.walk(place, topdown=False):
        for name in files:
            os.unlink(f"{folder}/{name}")
        for name in folders:
            os.rmdir(f"{folder}/{name}")
    os.rmdir(place)


def _attempt(place: str, driver: str) -> str:
    lower, upper, work, at = (os.path.join(place, name) for name in ("low", "up", "work", "at"))
    for path in (f"{lower}/folder", upper, work, at):
        os.makedirs(path)
    for name in ("file", "folder/inner"):
        with open(f"{lower}/{name}", "w") as file:
            file.write(name)
    root = _mounted(lower, upper, work, at, driver)
    try:
        os.unlink("file", dir_fd=root)
        os.unlink("folder/inner", dir_fd=root)
        os.rmdir("folder", dir_fd=root)
        os.mkdir("folder", dir_fd=root)
        with os.fdopen(os.open("new", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=root), "w") as file:
            file.write("new")
        if driver == FUSE and (wrong := _without_acls(root)):
            return wrong
        shown = sorted(os.listdir(root)), os.listdir(f"/proc/self/fd/{root}/folder")
    finally:
        os.close(root)
    if shown != (["folder", "new"], []):
        return f"what was removed is still seen: {shown}"
    if driver == OVERLAY and (wrong := _marks(lower)):
        return wrong
    if driver == OVERLAY and not whiteouts.is_device(os.lstat(f"{upper}/file")):
        return "a removal leaves no whiteout"
    return ""


def _mounted(lower: str, upper: str, work: str, at: str, driver: str) -> int:
    if not OPAQUE.startswith("user."):
        return open_overlay([lower], upper, work, at, driver)
    from dockyard.base.linux import mountapi

    tree = mountapi.new_mount("overlay", (
        ("lowerdir", lower), ("upperdir", upper), ("workdir", work), ("userxattr", None),
    ))  # fmt: skip
    try:
        return os.open(f"/proc/self/fd/{tree}/.", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(tree)


def _without_acls(root: int) -> str:
    """The kernel asks for them whenever somebody who is not root looks at a file."""
    try:
        os.getxattr(root, "system.posix_acl_access")
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return f"{FUSE}: its file system keeps no attributes"
    return ""


def _marks(lower: str) -> str:
    """Layers are unpacked with marks of overlayfs' own."""
    folder = os.open(lower, os.O_RDONLY | os.O_DIRECTORY)
    try:
        whiteouts.hide(folder, "hidden")
        if not whiteouts.is_device(os.lstat(f"{lower}/hidden")):
            return "its file system makes no whiteouts"
        try:
            os.setxattr(f"{lower}/folder", OPAQUE, b"n")
        except OSError as error:
            return f"its file system keeps no attribute {OPAQUE}: {error.strerror}"
    except FileNotFoundError:
        return "its file system makes no whiteouts"
    finally:
        os.close(folder)
    return ""


def _elsewhere(folder: str, driver: str) -> str:
    """An ordinary user mounts in a namespace of their own: another process enters one."""
    words = [sys.executable, "-P", "-m", "dockyard.base.linux.drivertrial", folder, driver]
    said, saying = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, saying, 1)]
        pid = os.posix_spawn(sys.executable, words, os.environ, file_actions=actions)
        os.close(saying)
        text = os.read(said, 4096).decode(errors="replace").strip()
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(said)
    return text or (f"the trial ended with status {status}" if status else "")


def _in_own_namespace(folder: str, driver: str) -> None:
    from dockyard.base.linux import syscalls

    uid, gid = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                           ("gid_map", f"0 {gid} 1")):  # fmt: skip
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        print(f"no user namespace: {error.strerror}")
        return
    print(attempt(folder, driver))


if __name__ == "__main__":
    _in_own_namespace(*sys.argv[1:3])

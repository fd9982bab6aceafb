"""Turns layers and an upper directory into a merged tree that fuse-overlayfs(1) serves.

The mount lies nowhere, as :mod:`.overlay`'s. A process of its own answers for it: it was handed the
other end, and ends when nobody has the tree any more. So there is nothing to unmount, whoever dies.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from dockyard.base.errors import Unavailable, Unsupported
from dockyard.base.linux import mountapi

PROGRAM = "fuse-overlayfs"
DEVICE = "/dev/fuse"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LONGEST_WORD = 4000


def program() -> str:
    """Where the program is; empty for nowhere."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, PROGRAM)
        if os.access(path, os.X_OK):
            return path
    return ""


def open_tree(lower: Sequence[str], upper: str, work: str) -> int:
    """A descriptor of the mount (fsmount(2)'s). ``lower`` topmost first.

    Not to be called where children are born into another pid namespace.
    """
    path = program()
    if not path:
        raise Unsupported(f"{PROGRAM}: is not installed; see --storage-driver for other ways")
    opened: list[int] = []
    try:
        try:
            device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unsupported(f"{PROGRAM}: {DEVICE}: {error.strerror}") from error
        opened.append(device)
        for folder in (upper, work, *lower):
            opened.append(os.open(folder, _FOLDER))  # noqa: PERF401 - those before are closed too
        tree = mountapi.new_mount("fuse", (
            ("source", PROGRAM), ("fd", str(device)), ("rootmode", "40000"), ("user_id", "0"),
            ("group_id", "0"), ("default_permissions", None), ("allow_other", None),
        ))  # fmt: skip
        try:
            _serve(path, opened)
        except BaseException:
            os.close(tree)
            raise
        return tree
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _serve(path: str, opened: Sequence[int]) -> None:
    """It goes on in the background when it has looked at everything; what it says until then is
    why it does not."""
    device, *folders = opened
    upper, work, *lower = (f"/proc/self/fd/{each}" for each in folders)
    options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work},writeback=0"
    words = [PROGRAM, "-o", options, f"/dev/fd/{device}"]
    said, saying = os.pipe2(os.O_CLOEXEC)
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in opened]
            actions += [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, saying, 1),
                        (os.POSIX_SPAWN_DUP2, saying, 2)]  # fmt: skip
            environment = {"PATH": os.environ.get("PATH", os.defpath)}
            pid = os.posix_spawn(path, words, environment, file_actions=actions)
        finally:
            os.close(null)
            os.close(saying)
        text = b""
        while piece := os.read(said, _LONGEST_WORD):
            text = (text + piece)[-_LONGEST_WORD:]
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(said)
    if status:
        reason = text.decode(errors="replace").strip().replace("\n", "; ")
        raise Unavailable(f"{PROGRAM}: {reason or f'ended with status {status}'}")

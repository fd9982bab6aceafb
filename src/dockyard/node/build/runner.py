"""Turns a RUN request into a container that ends, confined as ``dockyard run`` confines."""

import os
import secrets
import stat
from typing import Any

from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.linux.overlay import open_overlay
from dockyard.base.net.netlink import open_in
from dockyard.base.oci.defaultspec import NEW_NAMESPACES, default_spec
from dockyard.base.oci.instance import instance_id, run_dir
from dockyard.base.oci.users import User, find_user
from dockyard.interfaces.ociruntime import Launch, Overlay, Runtime
from dockyard.node.build.stage import Report, RunRequest

_HOST_FILES = ("/etc/resolv.conf", "/etc/hosts")


class ContainerRunner:
    """Runs programs through a runtime; what they print goes to the report."""

    def __init__(self, runtime: Runtime, data_root: str, report: Report) -> None:
        self._runtime = runtime
        self._data_root = data_root
        self._report = report

    def run(self, request: RunRequest) -> int:
        """Exit code. The upper directory has what the program changed, and nothing of what a
        container needed to run it."""
        identifier = "build" + secrets.token_hex(12)
        merged, work, state = (
            _folder(request.workspace, name) for name in ("merged", "work", "state")
        )
        root = open_overlay(request.lower, request.upper, work, merged)
        try:
            user = find_user(root, request.user)
            cgroup = f"dockyard/{instance_id(self._data_root)}/{identifier}"
            spec = _spec(request, user, merged, cgroup)
            absent = [path for path in _targets(spec) if not _exists(root, path)]
        finally:
            os.close(root)
        launch = Launch(
            identifier,
            spec,
            state,
            os.path.join(run_dir(self._data_root), identifier),
            Overlay(request.lower, request.upper, work),
        )
        code = self._wait(launch, cgroup, request.network)
        _remove_stubs(request.upper, absent)
        return code

    def _wait(self, launch: Launch, cgroup: str, network: str) -> int:
        try:
            pid, stream = self._runtime.create(launch, attach=True)
            assert stream is not None
            try:
                if network == "none":
                    _raise_loopback(pid)
                self._runtime.start(launch.run_dir)
                while (frame := stream.read()) is not None:
                    self._report.output(frame.data)
                code = stream.exit_code()
            finally:
                stream.close()
            if code is not None:
                return code
            ended = self._runtime.wait(launch.run_dir, launch.state_dir, None)
            return ended.code if ended is not None else 137
        finally:
            self._runtime.delete(launch.run_dir, cgroup)


def _spec(request: RunRequest, user: User, root: str, cgroup: str) -> dict[str, Any]:
    namespaces: dict[str, str | None] = dict.fromkeys(NEW_NAMESPACES)
    env = list(request.env)
    if not any(item.startswith("HOME=") for item in env):
        env.append(f"HOME={user.home}")
    if request.network == "host":
        del namespaces["network"]
    spec = default_spec(
        args=list(request.args),
        env=env,
        cwd=request.cwd,
        root=root,
        cgroup=cgroup,
        namespaces=namespaces,
    )
    spec["hostname"] = "build"
    spec["process"]["user"] = {
        "uid": user.uid,
        "gid": user.gid,
        "additionalGids": list(user.groups),
    }
    if user.uid != 0:
        spec["process"]["capabilities"] = {"bounding": spec["process"]["capabilities"]["bounding"]}
    if request.network == "host":
        spec["mounts"] += [
            {"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}
            for path in _HOST_FILES
            if os.path.exists(path)
        ]
    return spec


def _raise_loopback(pid: int) -> None:
    """A new network namespace has its loopback down."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        with open_in(namespace) as netlink:
            netlink.set_link(1, up=True)  # lo is number 1 in each
    finally:
        os.close(namespace)


def _targets(spec: dict[str, Any]) -> list[str]:
    """Where the container's mounts go, deepest first."""
    found = {mount["destination"].strip("/") for mount in spec["mounts"]}
    parents = {path.rpartition("/")[0] for path in found} - {""}
    return sorted(found | parents, key=lambda path: (-path.count("/"), path))


def _exists(root: int, path: str) -> bool:
    try:
        os.close(open_in_root(root, path, os.O_PATH))
    except OSError:
        return False
    return True


def _remove_stubs(upper: str, absent: list[str]) -> None:
    """Take away the empty files and directories that mounts were made on."""
    root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in absent:
            folder, _, name = path.rpartition("/")
            if not _exists(root, path):
                continue
            parent = open_in_root(root, folder or ".", os.O_PATH | os.O_DIRECTORY)
            try:
                _remove_empty(parent, name)
            finally:
                os.close(parent)
    finally:
        os.close(root)


def _remove_empty(parent: int, name: str) -> None:
    found = os.lstat(name, dir_fd=parent)
    if stat.S_ISDIR(found.st_mode):
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            empty = not os.listdir(fd)
        finally:
            os.close(fd)
        if empty:
            os.rmdir(name, dir_fd=parent)
    elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
        os.unlink(name, dir_fd=parent)


def _folder(workspace: str, name: str) -> str:
    path = os.path.join(workspace, name)
    os.makedirs(path, 0o700, exist_ok=True)
    return path

"""Turns a RUN request into a container that ends, confined as ``dockyard run`` confines."""

import contextlib
import os
import secrets
import signal
import threading
from typing import Any

from dockyard.base.errors import Conflict, DockyardError
from dockyard.base.linux.overlay import open_overlay
from dockyard.base.net.netlink import open_in
from dockyard.base.oci.defaultspec import (
    EVERY_CAPABILITY,
    NEW_NAMESPACES,
    default_mounts,
    default_spec,
)
from dockyard.base.oci.instance import instance_id, run_dir
from dockyard.base.oci.users import User, find_user
from dockyard.interfaces.ociruntime import Launch, Overlay, Runtime
from dockyard.node.build import targets
from dockyard.node.build.netfiles import write_files
from dockyard.node.build.stage import GATEWAY, RunRequest, Vertex
from dockyard.node.network.bridges import DEFAULT, BridgeNetworks


class ContainerRunner:
    """Runs programs through a runtime, several at once; what they print goes to the step."""

    def __init__(self, runtime: Runtime, data_root: str) -> None:
        self._runtime = runtime
        self._data_root = data_root
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._cancelled = False
        self.prefix = "build" + secrets.token_hex(8)
        """How the identifiers of all its containers begin."""

    def run(self, request: RunRequest, vertex: Vertex) -> int:
        """Exit code. The upper directory has what the program changed, and nothing of what a
        container needed to run it."""
        identifier = self.prefix + secrets.token_hex(4)
        work, merged, state = (
            _folder(request.workspace, name) for name in ("work", "merged", "state")
        )
        root = open_overlay(request.lower, request.upper, work, merged, request.driver)
        try:
            user = find_user(root, request.user)
            cgroup = request.limits.cgroup(instance_id(self._data_root), identifier)
            files = write_files(state, request.network, self._hosts(request))
            spec = _spec(request, user, merged, cgroup, files)
            made = targets.make(root, spec["mounts"])
        finally:
            os.close(root)
        launch = Launch(
            identifier,
            spec,
            state,
            os.path.join(run_dir(self._data_root), identifier),
            Overlay(request.lower, request.upper, work, request.driver),
        )
        inodes = targets.identify(request.upper, made)
        try:
            return self._wait(launch, cgroup, request.network, vertex)
        finally:
            targets.remove(request.upper, inodes)

    def _hosts(self, request: RunRequest) -> tuple[tuple[str, str], ...]:
        """Names and addresses; without a network nothing leads to this machine."""
        if not any(address == GATEWAY for _, address in request.hosts):
            return request.hosts
        own = {"host": "127.0.0.1", "none": ""}.get(request.network)
        if own is None:
            own = BridgeNetworks(self._data_root).gateway(DEFAULT)
        found = ((name, own if told == GATEWAY else told) for name, told in request.hosts)
        return tuple((name, address) for name, address in found if address)

    def cancel(self) -> None:
        """End all that runs, and start nothing more."""
        with self._lock:
            self._cancelled = True
            running = list(self._running)
        for place in running:
            with contextlib.suppress(DockyardError, OSError):  # it has ended meanwhile
                self._runtime.signal(place, signal.SIGKILL, everyone=True)

    def _wait(self, launch: Launch, cgroup: str, network: str, vertex: Vertex) -> int:
        connected = False
        try:
            pid, stream = self._runtime.create(launch, attach=True)
            assert stream is not None
            try:
                if network == "none":
                    _raise_loopback(pid)
                elif network == "default":
                    connected = True
                    BridgeNetworks(self._data_root).attach(launch.id, pid, DEFAULT, ())
                self._begin(launch.run_dir)
                while (frame := stream.read()) is not None:
                    vertex.output(frame.data)
                code = stream.exit_code()
            finally:
                stream.close()
            if code is not None:
                return code
            ended = self._runtime.wait(launch.run_dir, launch.state_dir, None)
            return ended.code if ended is not None else 137
        finally:
            with self._lock:
                self._running.discard(launch.run_dir)
            self._runtime.delete(launch.run_dir, cgroup)
            if connected:
                BridgeNetworks(self._data_root).detach(launch.id)

    def _begin(self, place: str) -> None:
        with self._lock:
            if self._cancelled:
                raise Conflict("build: canceled")
            self._running.add(place)
            self._runtime.start(place)


def _spec(
    request: RunRequest, user: User, root: str, cgroup: str, files: dict[str, str]
) -> dict[str, Any]:
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
        capabilities=list(EVERY_CAPABILITY) if request.insecure else None,
        privileged=request.insecure,
        unconfined=request.insecure,
    )
    spec["mounts"] = default_mounts(request.insecure, request.shm_bytes)
    spec["hostname"] = request.hostname
    spec["linux"]["resources"] |= request.limits.resources()
    process = spec["process"]
    process["rlimits"] = request.limits.rlimits()
    process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
    if user.uid != 0:
        process["capabilities"] = {"bounding": process["capabilities"]["bounding"]}
    spec["mounts"] += [
        {"destination": path, "type": "bind", "source": file, "options": ["rbind", "ro"]}
        for path, file in files.items()
    ]
    spec["mounts"] += [
        {
            "destination": bind.target,
            "type": bind.kind,
            "source": bind.source,
            "options": list(bind.options),
        }
        for bind in request.binds
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


def _folder(workspace: str, name: str) -> str:
    path = os.path.join(workspace, name)
    os.makedirs(path, 0o700, exist_ok=True)
    return path

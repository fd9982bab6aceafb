"""Turns what a child asks for on its way into what only its parent can do."""

from __future__ import annotations

import os

from dockyard.base import jsontext
from dockyard.base.errors import DockyardError
from dockyard.base.oci.runtimespec import Spec
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime import hooks, wire
from dockyard.node.runtime.messages import GO, HOOKS, LISTENER, MAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockyard.node.runtime.child import Child

LISTENER_SECONDS = 10.0
"""A seccomp agent takes its descriptor within this time."""


class Attendant:
    """Of one container: its init's wishes and those of commands in it."""

    def __init__(self, spec: Spec, who: hooks.Identity) -> None:
        self._spec, self._who = spec, who

    def serve(self, child: Child, message: bytes, descriptors: list[int]) -> bool:
        """Do it and say so. False: the message is no wish."""
        if message not in (MAP, HOOKS, LISTENER):
            return False
        try:
            if message == MAP:
                from dockyard.base.linux import userns

                userns.write_maps(child.pid, self._spec.uids, self._spec.gids)
            elif message == HOOKS:
                said = hooks.state(self._who, "creating", child.pid)
                for kind in ("prestart", "createRuntime"):
                    hooks.run_outside(self._spec.hooks, kind, said, self._who.bundle)
            elif message == LISTENER and descriptors:
                deliver(self._spec, self._who, child.pid, descriptors[0])
        except (DockyardError, OSError) as error:
            raise _failed(error) from error
        child.sync.send(GO)
        return True


def _failed(error: DockyardError | OSError) -> StartFailed:
    return error if isinstance(error, StartFailed) else StartFailed(str(error), 125)


def deliver(spec: Spec, who: hooks.Identity, pid: int, listener: int) -> None:
    """Send a seccomp listener to its agent (config-linux.md, "The Container Process State")."""
    import socket  # most containers have no such agent

    profile = spec.seccomp or {}
    path = str(profile.get("listenerPath") or "")
    status = "creating" if pid else "running"
    document: dict[str, Any] = {
        "ociVersion": who.version,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": str(profile.get("listenerMetadata") or ""),
        "state": jsontext.loads(hooks.state(who, status, pid)),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(LISTENER_SECONDS)
        try:
            with wire.address(path) as address:
                peer.connect(address)
            data = jsontext.dumps(document).encode()
            sent = socket.send_fds(peer, [data], [listener])
            if sent < len(data):  # it may close as soon as it has read all
                peer.sendall(data[sent:])
        except OSError as error:
            raise StartFailed(f"seccomp: listenerPath: {path}: {error}", 125) from error


def close_all(descriptors: list[int]) -> None:
    """Let go of what came along and nobody has taken."""
    for descriptor in descriptors:
        os.close(descriptor)

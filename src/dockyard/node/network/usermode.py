"""Turns an ordinary user's wish for a network into pasta(1), which copies packets to sockets.

Without root no link can be made between a container and the host. pasta opens one inside, with the
container's own rights, and sends what comes out of it as the user. Where it is not installed the
container has its loopback only, and that is said.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from dockyard.base.errors import Unavailable, Unsupported
from dockyard.base.oci.instance import run_path

PROGRAM = "pasta"
TUN = "/dev/net/tun"
NAMES = ("pasta", "passt")
START_SECONDS = 10
DEFAULT = "bridge"
Port = tuple[int, str, str, int]
"""Container's port, protocol, host's address, host's port or 0."""


def attach(data_root: str, container: str, pid: int, network: str, ports: Sequence[Port]) -> None:
    """Give it a way out, and let those ports in. Raises :class:`Unsupported` for other networks."""
    if network != DEFAULT:
        raise Unsupported(
            f"network: {network}: networks between containers need root;"
            " without it there are none, host and the default"
        )
    program = _find()
    lacking = "" if program else "pasta is not installed (Debian: passt)"
    if program and not os.access(TUN, os.R_OK | os.W_OK):
        lacking = f"pasta cannot open {TUN}: only root may"
    if lacking:
        if ports:
            raise Unsupported(
                f"network: publishing ports without root: {lacking}; use --network host"
            )
        print(
            f"WARNING: {lacking}: the container has no network but its loopback;"
            " --network host shares this machine's",
            file=sys.stderr,
        )
        return
    command = [program, "--config-net", "--quiet", "--pid", _pid_file(data_root, container),
               *_forwards(ports), str(pid)]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=START_SECONDS)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable(f"network: {PROGRAM}: not ready after {START_SECONDS} s") from None
    if done.returncode:
        text = done.stderr.strip() or f"status {done.returncode}"
        raise Unavailable(f"network: {PROGRAM}: {text}")


def _find() -> str:
    for folder in os.environ.get("PATH", "/usr/bin:/bin").split(":"):
        path = os.path.join(folder, PROGRAM)
        if os.access(path, os.X_OK):
            return path
    return ""


def _forwards(ports: Sequence[Port]) -> list[str]:
    """Nothing of the host's is reachable from inside, and nothing inside but what is asked for."""
    words = ["-T", "none", "-U", "none"]
    for flag, protocol in (("-t", "tcp"), ("-u", "udp")):
        wanted = [port for port in ports if port[1] == protocol]
        for inside, _, address, outside in wanted:
            chosen = outside or _free(protocol)
            place = f"{address}/" if address not in ("", "0.0.0.0") else ""  # noqa: S104
            words += [flag, f"{place}{chosen}:{inside}"]
        if not wanted:
            words += [flag, "none"]
    if any(port[1] not in ("tcp", "udp") for port in ports):
        raise Unsupported("network: without root only tcp and udp ports can be published")
    return words


def _free(protocol: str) -> int:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def _pid_file(data_root: str, container: str) -> str:
    return os.path.join(run_path(data_root), f"{container[:24]}.{PROGRAM}")


def detach(data_root: str, container: str) -> None:
    """End it. It ends by itself too, when nobody is left in the namespace."""
    path = _pid_file(data_root, container)
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        with open(path) as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/comm") as file:
            if not file.read().startswith(NAMES):  # the number is somebody else's by now
                raise ProcessLookupError
        os.kill(pid, signal.SIGKILL)  # it keeps nothing, and as a pid 1 it may pass over SIGTERM
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

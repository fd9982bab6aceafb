"""Turns private keys' files into an ssh agent that has them, for as long as a build takes.

``--ssh ID=KEY,...`` names keys where there is no agent. The keys go to ``ssh-agent`` through a
pipe; its socket lies in memory, in the build's own mount namespace, and it ends with its parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, NotFound, Unavailable
from dockyard.base.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LARGEST = 100 << 10
"""BuildKit's limit of a key's file."""
_SECONDS = 20


@contextlib.contextmanager
def holding(keys: Sequence[str], folder: str) -> Iterator[str]:
    """A socket of an agent with these keys. ``folder``: an empty directory."""
    read = [_read(path) for path in keys]
    syscalls.mount("tmpfs", folder, "tmpfs", 0, "mode=0700,size=1m")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    socket = f"/proc/{os.getpid()}/fd/{place}/agent"  # a socket's path may not be long
    agent: subprocess.Popen[bytes] | None = None
    try:
        agent = _start(socket)
        for path, data in zip(keys, read, strict=True):
            _add(path, data, socket)
        yield socket
    finally:
        if agent is not None:
            agent.kill()
            agent.wait()
        os.close(place)
        syscalls.umount(folder, syscalls.MNT_DETACH)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise NotFound(f"build: --ssh: {path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise Invalid(f"build: --ssh: {path}: more than {_LARGEST} bytes; that is no key")
    return data


def _start(socket: str) -> subprocess.Popen[bytes]:
    try:
        agent = subprocess.Popen(
            ["ssh-agent", "-D", "-a", socket], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, preexec_fn=_with_parent, env={"PATH": _path()},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Unavailable(
            "build: --ssh: ssh-agent is not here; install openssh-client, or name a socket"
        ) from error
    assert agent.stdout is not None
    said = agent.stdout.readline()  # it prints its socket once that is there
    if not said.startswith(b"SSH_AUTH_SOCK="):
        agent.kill()
        agent.wait()
        raise Unavailable(f"build: --ssh: ssh-agent: {said.decode(errors='replace').strip()}")
    return agent


def _with_parent() -> None:
    """In the child: end when the build ends. Without new privileges the setgid bit of Debian's
    program is ignored; it would take the signal away."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _add(path: str, data: bytes, socket: str) -> None:
    env = {"PATH": _path(), "SSH_AUTH_SOCK": socket, "SSH_ASKPASS_REQUIRE": "never"}
    done = subprocess.run(
        ["ssh-add", "-q", "-"], input=data, capture_output=True, env=env, timeout=_SECONDS,
        start_new_session=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise Invalid(
            f"build: --ssh: {path}: no private key without a passphrase: {reason}; add it to an "
            "agent with ssh-add and name the agent's socket"
        )


def _path() -> str:
    return os.environ.get("PATH", os.defpath)

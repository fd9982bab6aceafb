"""Turns a git repository's address (``https://host/repo.git#ref:folder``) into a directory.

``git`` does it, with no hook, no configuration of this machine's user, and no transport but
https, http, ssh and git (E06).
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"(?:https?|ssh|git)://[^\s]+|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^\s]+")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@+-]{0,250}")
_SHA = re.compile(r"[0-9a-f]{40}")
_SECONDS = 600
_PROTOCOLS = "http:https:ssh:git"
_SSH = ("-F /dev/null", "-o BatchMode=yes", "-o StrictHostKeyChecking=accept-new",
        "-o IdentityFile=none")  # fmt: skip
"""No configuration and no key files of this user; the agent's keys are what ``--ssh`` gives."""
_LARGEST_HOSTS = 4 << 20


class GitAddress(NamedTuple):
    remote: str
    ref: str
    folder: str


class Checkout(NamedTuple):
    directory: str
    """The folder that was asked for, checked to lie inside."""
    commit: str
    time: int
    """Of the commit, in seconds."""


def parse_address(word: str) -> GitAddress | None:
    """None for what is no repository; :class:`Invalid` for one that can't be asked for."""
    remote, _, fragment = word.partition("#")
    remote, _, query = remote.partition("?")
    is_http = remote.lower().startswith(("http://", "https://"))
    short = remote.startswith("github.com/")
    if is_http and not remote.removesuffix("/").endswith(".git"):
        return None
    if short:
        remote = f"https://{remote}"
    if _ADDRESS.fullmatch(remote) is None:
        return None
    if query:
        raise Invalid(f"git: {word[:200]!r}: a query: not implemented; use #ref:folder")
    ref, _, folder = fragment.partition(":")
    if ref and (_REF.fullmatch(ref) is None or ".." in ref):
        raise Invalid(f"git: {word[:200]!r}: {ref[:80]!r} is no branch, tag or commit")
    host = re.sub(r"^[a-z]+://", "", remote)
    if host.startswith("-") or "@-" in host:
        raise Invalid(f"git: {word[:200]!r}: a host that begins with '-'; refused")
    return GitAddress(remote, ref, folder)


def check_out(address: GitAddress, target: str, *, keep_git: bool, agent: str = "") -> Checkout:
    """Fetch one commit into ``target``, an empty directory."""
    with _known_hosts() as known:
        return _check_out(address, target, keep_git, _Git(target, agent, known))


def _check_out(address: GitAddress, target: str, keep_git: bool, git: _Git) -> Checkout:
    git.run("init", "--quiet", "--template=", ".")
    git.run("remote", "add", "origin", "--", address.remote)
    ref = address.ref or "HEAD"
    try:
        git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", ref)
    except Unavailable:
        if not _SHA.fullmatch(ref):
            raise
        git.run("fetch", "--quiet", "--", "origin")  # a server that gives no commit by its name
    commit = git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}").strip()
    if _SHA.fullmatch(ref):
        commit = git.run("rev-parse", "--verify", f"{ref}^{{commit}}").strip()
    git.run("checkout", "--quiet", "--detach", commit)
    git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    time = int(git.run("show", "--no-patch", "--format=%ct", commit).strip())
    if not keep_git:
        import shutil

        shutil.rmtree(os.path.join(target, ".git"))
    directory = os.path.normpath(os.path.join(target, address.folder.strip("/") or "."))
    real = os.path.realpath(directory)
    inside = real == os.path.realpath(target) or real.startswith(os.path.realpath(target) + "/")
    if not inside or not os.path.isdir(real):
        raise NotFound(f"git: {address.remote}: no folder {address.folder!r} at {commit[:12]}")
    return Checkout(real, commit, time)


@contextlib.contextmanager
def _known_hosts() -> Iterator[str]:
    """A file of memory with the hosts that this user knows: they are checked, and new ones are
    taken, but nothing is written to the user's own file."""
    known = os.memfd_create("known_hosts")
    try:
        with (
            contextlib.suppress(OSError),
            open(os.path.expanduser("~/.ssh/known_hosts"), "rb") as file,
        ):
            os.write(known, file.read(_LARGEST_HOSTS))
        yield f"/proc/{os.getpid()}/fd/{known}"
    finally:
        os.close(known)


class _Git:
    def __init__(self, folder: str, agent: str, known: str) -> None:
        self._folder = folder
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
            "GIT_SSH_COMMAND": " ".join(("ssh", *_SSH, f"-o UserKnownHostsFile={known}")),
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        if agent:
            self._env["SSH_AUTH_SOCK"] = agent
        for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy"):
            for word in (name, name.upper()):
                if word in os.environ:
                    self._env[word] = os.environ[word]

    def run(self, *words: str) -> str:
        command = [
            "git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.file.allow=never",
            "-c", "core.fsmonitor=false", "-c", "init.defaultBranch=main",
            "-c", "advice.detachedHead=false", *words,
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=self._env, capture_output=True, text=True,
                timeout=_SECONDS, umask=0o022, check=False,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise Unavailable("git: the program is not here; install git") from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"git {words[0]}: no end after {_SECONDS} s") from error
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise Unavailable(f"git {words[0]}: {said[0][:300]}")
        return done.stdout

"""Turns one of docker's credential helpers (a program) into what it knows of a registry.

``docker-credential-NAME get|store|erase``: the registry on standard input, JSON on standard output
(docker's documentation of ``docker login``, "Credential helper protocol").
"""

import json
import re
import subprocess

from dockyard.base.errors import Invalid, Unavailable
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.registry.hosts import Credentials

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST = 1 << 20
_SECONDS = 60
_NOT_FOUND = "credentials not found"
_TOKEN = "<token>"  # noqa: S105 - the protocol's word for "the secret is an identity token"


def get(helper: str, server: str) -> Credentials | None:
    """What the helper has for this server; None where it says that it has nothing."""
    done = _run(helper, "get", server)
    if done.returncode:
        if _NOT_FOUND in done.stdout.lower():
            return None
        raise _failed(helper, "get", server, done)
    value = decode_object(done.stdout.encode(), f"{_program(helper)}: get", limit=_LARGEST)
    user, secret = value.get("Username"), value.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise Invalid(f"{_program(helper)}: {server}: its answer has no Username and Secret")
    return Credentials(refresh=secret) if user == _TOKEN else Credentials(user, secret)


def store(helper: str, server: str, credentials: Credentials) -> None:
    """Have the helper keep them."""
    user, secret = credentials.username, credentials.password
    if credentials.refresh:
        user, secret = _TOKEN, credentials.refresh
    value = {"ServerURL": server, "Username": user, "Secret": secret}
    done = _run(helper, "store", json.dumps(value))
    if done.returncode:
        raise _failed(helper, "store", server, done)


def erase(helper: str, server: str) -> None:
    """Have the helper forget them; no error where it has none."""
    done = _run(helper, "erase", server)
    if done.returncode and _NOT_FOUND not in done.stdout.lower():
        raise _failed(helper, "erase", server, done)


def _program(helper: str) -> str:
    if not _NAME.fullmatch(helper):
        raise Invalid(f"config.json: credential helper {helper[:80]!r}: is no program's name")
    return f"docker-credential-{helper}"


def _run(helper: str, action: str, text: str) -> "subprocess.CompletedProcess[str]":
    program = _program(helper)
    try:
        return subprocess.run(
            [program, action],
            input=text,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            errors="replace",
        )
    except FileNotFoundError:
        raise Invalid(f"{program}: is not installed, but config.json names it") from None
    except OSError as error:
        raise Invalid(f"{program[:300]}: cannot be executed: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{program}: {action}: no answer within {_SECONDS} s") from None


def _failed(
    helper: str, action: str, server: str, done: "subprocess.CompletedProcess[str]"
) -> Unavailable:
    said = (done.stderr.strip() or done.stdout.strip())[:200]
    shown = "".join(char if char.isprintable() else " " for char in said)
    return Unavailable(
        f"{_program(helper)}: {action} {server}: exit code {done.returncode}: {shown}"
    )

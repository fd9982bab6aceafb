"""Turns docker's ``config.json`` into the credentials for one registry, and back at a login.

``credHelpers`` and ``credsStore`` name programs that keep them (:mod:`helper`); else ``auths``.
What docker's file does not know podman's may (containers-auth.json(5)); nothing is written there.
"""

import base64
import json
import os
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import DEFAULT_REGISTRY
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.registry.hosts import Credentials, Hosts

_LARGEST = 1 << 20
_DOCKER_HUB = "https://index.docker.io/v1/"


def find_credentials(hosts: Hosts, registry: str, repository: str = "") -> Credentials | None:
    """What the user is known as at this registry, there for this repository; None for nobody."""
    for path in _places(hosts):
        if found := _find(path, registry, repository, must_exist=bool(hosts.auth_file)):
            return found
    return None


def _find(path: str, registry: str, repository: str, *, must_exist: bool) -> Credentials | None:
    value = _read(path, must_exist=must_exist)
    what = f"auth file: {path}"
    if helper := _helper(value, registry, what):
        from dockyard.node.image.registry import helper as program

        if found := program.get(helper, server_of(registry)):
            return found
    auths = _object(value, "auths", what)
    for key in (*_spaces(registry, repository), *_keys(registry)):
        if key in auths:
            return _parse(auths[key], f"{what}: auths: {key}")
    return None


def elsewhere(hosts: Hosts, registry: str) -> str | None:
    """The file other than :func:`config_path`'s that knows this registry, for who logs out."""
    for path in _places(hosts)[1:]:
        if _find(path, registry, "", must_exist=False):
            return path
    return None


def keep_credentials(hosts: Hosts, registry: str, credentials: Credentials) -> str | None:
    """Remember a login: the file in which the password lies, None where a helper has it."""
    path = config_path(hosts)
    value = _read(path)
    what = f"auth file: {path}"
    server = server_of(registry)
    helper = _helper(value, registry, what)
    entry: dict[str, str] = {}
    if helper:
        from dockyard.node.image.registry import helper as program

        program.store(helper, server, credentials)
    else:
        pair = f"{credentials.username}:{credentials.password}".encode()
        entry = {"auth": base64.b64encode(pair).decode()}
        if credentials.refresh:
            entry["identitytoken"] = credentials.refresh
    _write(path, {**value, "auths": {**_object(value, "auths", what), server: entry}})
    return None if helper else path


def forget_credentials(hosts: Hosts, registry: str) -> bool:
    """Forget a login; whether there was one."""
    path = config_path(hosts)
    value = _read(path)
    what = f"auth file: {path}"
    auths = _object(value, "auths", what)
    gone = [key for key in _keys(registry) if key in auths]
    helper = _helper(value, registry, what)
    if helper:
        from dockyard.node.image.registry import helper as program

        found = program.get(helper, server_of(registry)) is not None
        program.erase(helper, server_of(registry))
        if found and not gone:
            return True
    if gone:
        _write(path, {**value, "auths": {key: auths[key] for key in auths if key not in gone}})
    return bool(gone)


def parse_login(text: str) -> Credentials:
    """``user:password``, as ``--creds`` takes it."""
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise Invalid("credentials: USER:PASSWORD is expected")
    return Credentials(username, password)


def unpack_pair(packed: object, what: str) -> Credentials:
    """``auth`` of an entry: base64 of ``USER:PASSWORD``, padded with NULs by old programs."""
    try:
        text = base64.b64decode(packed, validate=True).decode()  # type: ignore[arg-type]
        return parse_login(text.rstrip("\0"))
    except (TypeError, ValueError, Invalid) as error:
        raise Invalid(f"{what}: auth: not base64 of USER:PASSWORD") from error


def config_path(hosts: Hosts) -> str:
    """The file that a login is written to: the user's own, ``REGISTRY_AUTH_FILE``, or docker's."""
    return _places(hosts)[0]


def _places(hosts: Hosts) -> tuple[str, ...]:
    """Where credentials lie: one file where the user names it, else docker's and podman's."""
    if named := hosts.auth_file or os.environ.get("REGISTRY_AUTH_FILE"):
        return (named,)
    docker = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    running = os.environ.get("XDG_RUNTIME_DIR")
    now = os.path.join(running, "containers") if running else f"/run/containers/{os.getuid()}"
    lasting = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    podman = (now, os.path.join(lasting, "containers"))
    return (f"{docker}/config.json", *(f"{folder}/auth.json" for folder in podman))


def server_of(registry: str) -> str:
    """What docker calls a registry in its file, and towards helpers."""
    return _DOCKER_HUB if registry == DEFAULT_REGISTRY else registry


def _read(path: str, *, must_exist: bool = False) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise Invalid(f"auth file: {path}: does not exist") from None
        return {}
    return decode_object(data, f"auth file: {path}", limit=_LARGEST) if data.strip() else {}


def _write(path: str, value: dict[str, Any]) -> None:
    """For this user's eyes; a cut leaves the old file whole."""
    path = os.path.realpath(path)
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    new = f"{path}.{os.getpid()}"
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(value, file, indent="\t")
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)
    except BaseException:
        if os.path.exists(new):
            os.unlink(new)
        raise


def _helper(value: dict[str, Any], registry: str, what: str) -> str:
    """The program's name without its prefix; empty where there is none."""
    for key in (*_keys(registry), registry):
        if helper := _object(value, "credHelpers", what).get(key):
            return str(helper)
    return str(value.get("credsStore") or "")


def _object(value: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    found = value.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Invalid(f"{what}: {key}: an object is expected")
    return found


def _keys(registry: str) -> tuple[str, ...]:
    plain = (registry, f"https://{registry}", f"https://{registry}/", f"https://{registry}/v1/")
    return (_DOCKER_HUB, *plain) if registry == DEFAULT_REGISTRY else plain


def _spaces(registry: str, repository: str) -> list[str]:
    """``host/a/b`` and ``host/a`` of ``host`` and ``a/b``: the nearest first."""
    parts = [registry, *filter(None, repository.split("/"))]
    return ["/".join(parts[:length]) for length in range(len(parts), 1, -1)]


def _parse(entry: object, what: str) -> Credentials | None:
    if not isinstance(entry, dict):
        raise Invalid(f"{what}: an object is expected")
    if entry.get("registrytoken"):
        return Credentials(token=str(entry["registrytoken"]))
    if entry.get("identitytoken"):
        return Credentials(refresh=str(entry["identitytoken"]))
    packed = entry.get("auth")
    if packed:
        return unpack_pair(packed, what)
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    return None

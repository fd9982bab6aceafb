"""Turns docker's ``config.json`` into the credentials for one registry.

``auths`` only: credential helpers are programs, and are not started here.
"""

import base64
import binascii
import os

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import DEFAULT_REGISTRY
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.registry.hosts import Credentials, Hosts

_LARGEST = 1 << 20
_DOCKER_HUB = "https://index.docker.io/v1/"


def find_credentials(hosts: Hosts, registry: str) -> Credentials | None:
    """What the user is known as at this registry; None for nobody."""
    path = hosts.auth_file or _default_path()
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        if hosts.auth_file:
            raise Invalid(f"auth file: {path}: does not exist") from None
        return None
    what = f"auth file: {path}"
    auths = decode_object(data, what, limit=_LARGEST).get("auths")
    if auths is None:
        return None
    if not isinstance(auths, dict):
        raise Invalid(f"{what}: auths: an object is expected")
    for key in _keys(registry):
        if key in auths:
            return _parse(auths[key], f"{what}: auths: {key}")
    return None


def parse_login(text: str) -> Credentials:
    """``user:password``, as ``--creds`` takes it."""
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise Invalid("credentials: USER:PASSWORD is expected")
    return Credentials(username, password)


def _default_path() -> str:
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    return os.path.join(folder, "config.json")


def _keys(registry: str) -> tuple[str, ...]:
    plain = (registry, f"https://{registry}", f"https://{registry}/", f"https://{registry}/v1/")
    return (_DOCKER_HUB, *plain) if registry == DEFAULT_REGISTRY else plain


def _parse(entry: object, what: str) -> Credentials | None:
    if not isinstance(entry, dict):
        raise Invalid(f"{what}: an object is expected")
    if entry.get("registrytoken"):
        return Credentials(token=str(entry["registrytoken"]))
    packed = entry.get("auth")
    if packed:
        try:
            return parse_login(base64.b64decode(packed, validate=True).decode())
        except (TypeError, binascii.Error, UnicodeDecodeError) as error:
            raise Invalid(f"{what}: auth: not base64 of USER:PASSWORD") from error
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    return None

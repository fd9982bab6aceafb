"""Turns the pull secrets of a pod into the credentials to try for one image.

As the kubelet's keyring has it (kubernetes, "Using a private registry"; pkg/credentialprovider):
an entry of ``auths`` is for every image whose name matches it, label by label of the host and by
prefix of the path; the entry that sorts last is tried first. Pure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import DEFAULT_REGISTRY, parse_reference
from dockyard.base.oci.strictjson import decode_object
from dockyard.cluster.client.transport import Object
from dockyard.interfaces.cri import AuthConfig

_DOCKER_HUB = "index.docker.io"
_JSON = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson")
_OLDER = ("kubernetes.io/dockercfg", ".dockercfg")
_LARGEST = 1 << 20


class _Place(NamedTuple):
    """What an entry is for: a host (labels, port) and the beginning of a path."""

    labels: tuple[str, ...]
    port: str
    path: str

    def covers(self, image: _Place) -> bool:
        return (
            self.port == image.port
            and len(self.labels) == len(image.labels)
            and image.path.startswith(self.path)
            and all(map(_matches, image.labels, self.labels))
        )


def credentials_for(image: str, secrets: Iterable[Object]) -> list[AuthConfig]:
    """What to try, in order; empty: none of the secrets is for this image.

    Raises :class:`Invalid` where a secret's content is not what its type says.
    """
    entries: dict[str, list[AuthConfig]] = {}
    for secret in secrets:
        for key, auth in _entries(secret):
            entries.setdefault(key, []).append(auth)
    name = parse_reference(image)
    wanted = _place(name.name)
    found = [
        auth
        for key in sorted(entries, reverse=True)
        if _place(key).covers(wanted)
        for auth in entries[key]
    ]
    if not found and name.registry == DEFAULT_REGISTRY:
        found = entries.get(_DOCKER_HUB, [])
    return list(dict.fromkeys(found))


def _entries(secret: Object) -> Iterator[tuple[str, AuthConfig]]:
    """What one secret has; another type, or one without its content, has nothing."""
    metadata = secret["metadata"]
    what = f"secret {metadata.get('namespace', '')}/{metadata.get('name', '')}"
    data: Mapping[str, str] = secret.get("data") or {}
    if secret.get("type") == _JSON[0] and data.get(_JSON[1]):
        auths = decode_object(_unpacked(data[_JSON[1]], what), what, limit=_LARGEST).get("auths")
    elif secret.get("type") == _OLDER[0] and data.get(_OLDER[1]):
        auths = decode_object(_unpacked(data[_OLDER[1]], what), what, limit=_LARGEST)
    else:
        return
    if not isinstance(auths, dict | None):
        raise Invalid(f"{what}: auths: an object is expected")
    for server, entry in (auths or {}).items():
        if not isinstance(entry, dict):
            raise Invalid(f"{what}: an entry of auths is no object")
        yield _key(server), _auth(entry, server, what)


def _auth(entry: Mapping[str, Any], server: str, what: str) -> AuthConfig:
    """``auth`` wins over ``username`` and ``password``; tokens are not the kubelet's to send."""
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if packed := entry.get("auth"):
        pair = _unpacked(packed, what).decode(errors="replace")
        username, colon, password = pair.partition(":")
        if not colon:
            raise Invalid(f"{what}: {server[:200]!r}: unable to parse auth field, must be formatted"
                          " as base64(username:password)")  # fmt: skip
    return AuthConfig(username, password)


def _unpacked(text: object, what: str) -> bytes:
    """Base64, with its padding or without."""
    try:
        plain = str(text).strip()
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"{what}: not base64: {error}") from error


def _key(server: str) -> str:
    """Without scheme; ``/v1/`` and ``/v2/`` stand for the host alone."""
    rest = server.removeprefix("https://").removeprefix("http://")
    host, slash, path = rest.partition("/")
    path = slash + path
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return host if path == "/" else host + path


def _place(name: str) -> _Place:
    host, slash, path = name.partition("/")
    bare, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        bare, port = host, ""
    return _Place(tuple(bare.split(".")), port, slash + path)


def _matches(label: str, pattern: str) -> bool:
    """Go's path/filepath.Match for what has no separator in it."""
    return fnmatchcase(label, pattern.replace("[^", "[!"))

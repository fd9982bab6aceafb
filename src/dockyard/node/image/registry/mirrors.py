"""Turns containers-registries.conf(5) into the places where an image may be fetched.

Version 2: ``[[registry]]`` with prefix, location, insecure, blocked and ``[[registry.mirror]]``; of
several the longest prefix counts. Names without a registry are :mod:`shortnames`'s.
"""

import os
import tomllib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import Reference, parse_reference
from dockyard.node.image.image import ImageNotFound, RegistryDenied, RegistryUnavailable
from dockyard.node.image.registry.hosts import Hosts

_LARGEST = 1 << 20
_WHEN = ("all", "digest-only", "tag-only")


class Place(NamedTuple):
    """Where an image lies under another name. ``mirror``: a copy, not the registry itself."""

    name: Reference
    insecure: bool
    mirror: bool


_Fetched = TypeVar("_Fetched")


def from_first(
    hosts: Hosts, name: Reference, note: Callable[[str], None], fetch: Callable[[Place], _Fetched]
) -> _Fetched:
    """What the first of the places gives. A mirror that has it not, or does not answer, is passed
    over, and ``note`` hears of it; the registry's own refusal is raised."""
    for place in places(hosts, name):
        try:
            return fetch(place)
        except (ImageNotFound, RegistryDenied, RegistryUnavailable) as error:
            if not place.mirror:
                raise
            note(f"mirror {place.name.registry}: {error}; trying the next")
    raise AssertionError("the registry itself is the last place")


def places(hosts: Hosts, name: Reference) -> list[Place]:
    """Where to fetch this image, in order: its mirrors, then the registry itself.

    Raises :class:`RegistryDenied` where the user has blocked it.
    """
    best: tuple[int, dict[str, Any], str] | None = None
    for path in files(hosts):
        for entry in _tables(read(path), "registry", path):
            prefix = _text(entry, "prefix", path) or _text(entry, "location", path)
            if prefix and _matches(prefix, name) and (best is None or len(prefix) >= best[0]):
                best = (len(prefix), entry, path)
    if best is None:
        return [Place(name, False, False)]
    _, entry, path = best
    prefix = _text(entry, "prefix", path) or _text(entry, "location", path)
    if _flag(entry, "blocked", path):
        raise RegistryDenied(f"image: {name}: registry {prefix} is blocked by {path}")
    found = []
    mirrors = _tables(entry, "mirror", path)
    for mirror in mirrors:
        when = _text(mirror, "pull-from-mirror", path) or "all"
        if when not in _WHEN:
            raise Invalid(f"{path}: pull-from-mirror: {when!r}: one of {', '.join(_WHEN)}")
        if _flag(entry, "mirror-by-digest-only", path):
            when = "digest-only"
        if when == "all" or (when == "digest-only") == (name.digest is not None):
            location = _text(mirror, "location", path)
            insecure = _flag(mirror, "insecure", path)
            found.append(Place(_renamed(name, prefix, location, path), insecure, True))
    location = _text(entry, "location", path) or prefix
    insecure = _flag(entry, "insecure", path)
    return [*found, Place(_renamed(name, prefix, location, path), insecure, False)]


def reached(hosts: Hosts, place: Place) -> Hosts:
    """How this place is reached."""
    if not place.insecure:
        return hosts
    return hosts._replace(insecure=hosts.insecure | {place.name.registry})


def _matches(prefix: str, name: Reference) -> bool:
    if prefix.startswith("*."):
        return name.registry.endswith(prefix[1:])
    return name.name == prefix or name.name.startswith(prefix + "/")


def _renamed(name: Reference, prefix: str, location: str, path: str) -> Reference:
    if prefix.startswith("*."):
        rest = name.name.removeprefix(name.registry)
        prefix = name.registry
        if location == prefix or not location or location.startswith("*."):
            return name
    else:
        rest = name.name.removeprefix(prefix)
    text = str(name).removeprefix(name.name)
    try:
        return parse_reference(f"{location}{rest}{text}")
    except Invalid as error:
        raise Invalid(f"{path}: location {location[:200]!r}: {error}") from error


def files(hosts: Hosts) -> list[str]:
    """The configuration: the first main file that exists, and its drop-ins, in order."""
    own = os.environ.get("CONTAINERS_REGISTRIES_CONF")
    main = next(
        (path for path in ((own,) if own else hosts.registries) if os.path.exists(path)), ""
    )
    if not main:
        return []
    folder = f"{main}.d"
    extra = os.listdir(folder) if os.path.isdir(folder) else []
    return [main, *(os.path.join(folder, one) for one in sorted(extra) if one.endswith(".conf"))]


def read(path: str) -> dict[str, Any]:
    """One file's content; version 1 is refused."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise Invalid(f"{path}: larger than {_LARGEST} bytes")
    try:
        value = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path}: {error}") from error
    if "registries" in value:
        raise Invalid(f"{path}: version 1 of registries.conf(5): write it as version 2")
    return value


def _tables(value: dict[str, Any], key: str, path: str) -> list[dict[str, Any]]:
    found = value.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Invalid(f"{path}: {key}: a list of tables is expected")
    return found


def _text(value: dict[str, Any], key: str, path: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str):
        raise Invalid(f"{path}: {key}: a text is expected")
    return found.removesuffix("/")


def _flag(value: dict[str, Any], key: str, path: str) -> bool:
    found = value.get(key, False)
    if not isinstance(found, bool):
        raise Invalid(f"{path}: {key}: true or false is expected")
    return found

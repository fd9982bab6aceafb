"""Turns a name without a registry into the full names to try, by containers-registries.conf(5).

An entry of ``[aliases]`` counts first, then ``unqualified-search-registries``, with
``short-name-mode``; where the user has configured neither, the name is docker.io's.
"""

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import Reference, is_short, parse_reference
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.mirrors import files, read

_MODES = ("enforcing", "permissive", "disabled")


class Resolved(NamedTuple):
    """``note``: how it was resolved, for a person to see; empty where nothing was."""

    names: tuple[Reference, ...]
    note: str = ""
    source: str = ""


class _Configured(NamedTuple):
    aliases: dict[str, tuple[str, str]]
    """Short name -> full name, and the file that says so."""
    search: tuple[str, ...]
    search_file: str
    mode: str


def resolve_short(hosts: Hosts, text: str) -> Resolved:
    """In the order in which they are tried. Raises :class:`Invalid` where the mode forbids to."""
    default = parse_reference(text)
    if not is_short(text):
        return Resolved((default,))
    found = _configured(hosts)
    name, suffix = _split(text)
    if name in found.aliases:
        full, path = found.aliases[name]
        note = f'Resolved "{name}" as an alias ({path})'
        return Resolved((_named(f"{full}{suffix}", f"{path}: aliases: {name}"),), note, path)
    if not found.search:
        return Resolved((default,))
    if found.mode == "enforcing" and len(found.search) > 1:
        raise Invalid(
            f"image {name}: short-name resolution is enforced by {found.search_file}: which of "
            f"{', '.join(found.search)} is meant? Give the full name, or an alias there"
        )
    what = f"{found.search_file}: unqualified-search-registries"
    note = f'Resolving "{name}" using unqualified-search registries ({found.search_file})'
    names = tuple(_named(f"{registry}/{text}", what) for registry in found.search)
    return Resolved(names, note, found.search_file)


def only_one(hosts: Hosts, text: str) -> tuple[Reference, str]:
    """The full name and how it was found, for what is not tried at several registries."""
    found = resolve_short(hosts, text)
    if len(found.names) > 1:
        raise Invalid(f"image {text}: one of {len(found.names)} registries' ({found.source}): "
                      "give the full name")  # fmt: skip
    return found.names[0], found.note


def _configured(hosts: Hosts) -> _Configured:
    """Of all files together: what a later one says counts, alias by alias."""
    aliases: dict[str, tuple[str, str]] = {}
    search: tuple[str, ...] = ()
    search_file, mode = "", "permissive"
    for path in files(hosts):
        value = read(path)
        if "unqualified-search-registries" in value:
            search, search_file = _registries(value, path), path
        if "short-name-mode" in value:
            mode = value["short-name-mode"]
            if mode not in _MODES:
                raise Invalid(f"{path}: short-name-mode: {mode!r}: one of {', '.join(_MODES)}")
        for short, full in _aliases(value, path).items():
            if full:
                aliases[short] = (full, path)
            else:
                aliases.pop(short, None)
    return _Configured(aliases, search, search_file, mode)


def _registries(value: dict[str, Any], path: str) -> tuple[str, ...]:
    found = value["unqualified-search-registries"]
    if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
        raise Invalid(f"{path}: unqualified-search-registries: a list of registries is expected")
    return tuple(dict.fromkeys(item.removesuffix("/") for item in found))


def _aliases(value: dict[str, Any], path: str) -> dict[str, str]:
    found = value.get("aliases", {})
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise Invalid(f"{path}: aliases: a table of full names is expected")
    return found


def _split(text: str) -> tuple[str, str]:
    """Name, and tag or digest with their signs."""
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    return head + slash + last, colon + tag + at + digest


def _named(text: str, what: str) -> Reference:
    if is_short(text):
        raise Invalid(f"{what}: {text[:200]!r}: has no registry's host (HOST[:PORT])")
    try:
        return parse_reference(text)
    except Invalid as error:
        raise Invalid(f"{what}: {error}") from error

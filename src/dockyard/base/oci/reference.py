"""Turns what a person types for an image into a :class:`Reference` in Docker's normal form.

Grammar: distribution/reference, ``reference.go`` and ``normalize.go``. ``busybox`` means
``docker.io/library/busybox:latest``; a first part with a dot, a colon or an upper-case letter, or
``localhost``, is a registry.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import HEX, Digest, parse_digest
from dockyard.base.pattern import Pattern
from dockyard.base.typed import NamedTuple

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
OFFICIAL = "library/"
_LONGEST = 255

_ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"
_BEGINNINGS = frozenset(_ALNUM)
_ALIKE = str.maketrans(_ALNUM, "a" * len(_ALNUM))
_WORD = frozenset(f"{_ALNUM}{_ALNUM.upper()}_")
_LONGEST_TAG = 128
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = Pattern(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_ID_DIGITS = 64


class Reference(NamedTuple):
    """An image's full name. ``tag`` or ``digest`` is set; where both are, the digest decides."""

    registry: str
    repository: str
    tag: str | None
    digest: Digest | None

    def __str__(self) -> str:
        return self.name + self.suffix

    @property
    def name(self) -> str:
        """``docker.io/library/busybox``"""
        return f"{self.registry}/{self.repository}"

    @property
    def suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def familiar_name(self) -> str:
        """``busybox``: the name as Docker shows it."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        return self.repository.removeprefix(OFFICIAL)

    @property
    def familiar(self) -> str:
        """``busybox:latest``"""
        return self.familiar_name + self.suffix


def parse_reference(text: str) -> Reference:
    """The normal form of ``[registry/]path[:tag][@digest]``; :class:`Invalid` where it is none."""
    if len(text) > 2 * _LONGEST + 200:
        raise _broken(text, f"{len(text)} characters")
    rest, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text, f"image reference: {text[:300]!r}") if at else None
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _is_tag(tag):
        raise _broken(
            text, f"tag {tag[:140]!r} is not [A-Za-z0-9_] and up to 127 of [A-Za-z0-9_.-]"
        )
    registry, path = _split_domain(head + slash + last)
    if registry != DEFAULT_REGISTRY and _DOMAIN.fullmatch(registry) is None:
        raise _broken(text, f"{registry[:80]!r} is no registry host")
    if not all(map(_is_part, path.split("/"))):
        if path != path.lower():
            raise _broken(text, "a repository name is lower-case")
        raise _broken(text, f"{path[:80]!r} is no repository name: [a-z0-9] joined by . _ - or /")
    if len(registry) + 1 + len(path) > _LONGEST:
        raise _broken(text, f"a name has at most {_LONGEST} characters")
    if len(rest) == _ID_DIGITS and HEX.issuperset(rest):
        raise _broken(text, "64 hex digits are an image's ID, not a name")
    return Reference(registry, path, tag or (None if digest else DEFAULT_TAG), digest)


def _is_part(text: str) -> bool:
    """``[a-z0-9]+``, several joined by ``.``, ``_``, ``__`` or dashes."""
    if text[:1] not in _BEGINNINGS or text[-1:] not in _BEGINNINGS:
        return False
    between = text.translate(_ALIKE).split("a")
    return all(each in ("", ".", "_", "__") or not each.strip("-") for each in between)


def _is_tag(text: str) -> bool:
    return (
        text[:1] in _WORD
        and len(text) <= _LONGEST_TAG
        and _WORD.issuperset(text.replace(".", "_").replace("-", "_"))
    )


def is_short(text: str) -> bool:
    """Whether a name says no registry: ``busybox:1``, ``team/app``."""
    first, slash, _ = text.partition("@")[0].partition("/")
    return not slash or not _is_host(first)


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not _is_host(first):
        registry, path = DEFAULT_REGISTRY, name
    else:
        registry, path = first, rest
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = OFFICIAL + path
    return registry, path


def _broken(text: str, reason: str) -> Invalid:
    return Invalid(f"image reference: {text[:300]!r}: {reason}")

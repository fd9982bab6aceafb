"""Turns ``--annotation`` words into annotations of an image's documents. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.platform import Platform, parse_platform

if TYPE_CHECKING:
    from collections.abc import Sequence

MANIFEST, INDEX = "manifest", "index"
MANIFEST_DESCRIPTOR, INDEX_DESCRIPTOR = "manifest-descriptor", "index-descriptor"
LEVELS = (INDEX, INDEX_DESCRIPTOR, MANIFEST, MANIFEST_DESCRIPTOR)
_LEVEL = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?")


class Annotation(NamedTuple):
    level: str
    platform: Platform | None
    """Only of this one's manifest; None: of all."""
    name: str
    value: str


def parse(words: Sequence[str]) -> tuple[Annotation, ...]:
    """``[LEVEL[[PLATFORM]],...:]NAME=VALUE``, as buildx reads them."""
    return tuple(found for word in words for found in _parse(word))


def _parse(word: str) -> list[Annotation]:
    key, equals, value = word.partition("=")
    if not equals:
        raise Invalid(f"invalid annotation {word[:80]!r}, expected key=value")
    levels, colon, name = key.partition(":")
    if not colon:
        return [Annotation(MANIFEST, None, key, value)]
    found = []
    for text in levels.split(","):
        match = _LEVEL.fullmatch(text)
        if match is None:
            raise Invalid(f"invalid annotation type {text[:80]!r}, expected type and optional "
                          "platform in square brackets")  # fmt: skip
        if match[1] not in LEVELS:
            raise Invalid(f"unknown annotation type {match[1]!r}: {', '.join(LEVELS)} are known")
        found.append(Annotation(match[1], parse_platform(match[2]) if match[2] else None, name,
                                value))  # fmt: skip
    return found


def of(
    given: Sequence[Annotation], level: str, platform: Platform | None = None
) -> tuple[tuple[str, str], ...]:
    """Those of one document, by name; the last of a name counts."""
    found = {
        each.name: each.value
        for each in given
        if each.level == level and (each.platform is None or each.platform == platform)
    }
    return tuple(sorted(found.items()))

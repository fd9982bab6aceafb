"""Turns a descriptor's JSON into a checked :class:`Descriptor` (OCI image-spec, descriptor.md)."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest, parse_digest
from dockyard.base.oci.platform import Platform, platform_from_json
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FIRST = frozenset(f"{_LETTERS}{_LETTERS.upper()}0123456789")
_MORE = _FIRST | frozenset("!#$&^_.+-")
_LONGEST = 127
"""Of each half of a media type (RFC 6838, 4.2)."""
_LARGEST = 1 << 62


class Descriptor(NamedTuple):
    """A pointer to content: what it is, its digest, its size in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.platform is not None:
            found["platform"] = self.platform.to_json()
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found


def parse_descriptor(value: Any, what: str) -> Descriptor:
    """A checked descriptor; :class:`Invalid` names ``what`` and the field."""
    if not isinstance(value, dict):
        raise Invalid(f"{what}: a descriptor is an object")
    media_type = value.get("mediaType")
    if not isinstance(media_type, str) or not _is_media_type(media_type):
        raise Invalid(f"{what}: mediaType: {str(media_type)[:80]!r} is no media type")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _LARGEST:
        raise Invalid(f"{what}: size: {str(size)[:80]!r} is no size in bytes")
    platform = value.get("platform")
    return Descriptor(
        media_type,
        parse_digest(value.get("digest"), f"{what}: digest"),
        size,
        None if platform is None else platform_from_json(platform, what),
        _texts(value.get("urls"), f"{what}: urls"),
        _annotations(value.get("annotations"), f"{what}: annotations"),
    )


def _is_media_type(text: str) -> bool:
    halves = text.split("/")
    return len(halves) == 2 and all(
        half[:1] in _FIRST and len(half) <= _LONGEST and _MORE.issuperset(half) for half in halves
    )


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"{what}: a list of texts is expected")
    return tuple(value)


def _annotations(value: Any, what: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise Invalid(f"{what}: an object of texts is expected")
    return tuple(sorted(value.items()))

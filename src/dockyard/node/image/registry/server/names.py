"""Turns words of a request's path into names that may stand in a file's path, or refuses them.

The grammar is the specification's ("Pulling manifests"); 255 characters are Docker's limit.
"""

from __future__ import annotations

import re

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest, parse_digest
from dockyard.node.image.registry.server.refusal import Refusal

LONGEST_NAME = 255
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_SHOWN = 300


class Repository(str):
    """A repository's name, known to be well formed."""

    __slots__ = ()


class Tag(str):
    """A tag, known to be well formed."""

    __slots__ = ()


def is_tag(text: str) -> bool:
    """Whether a file's name is a tag's."""
    return _TAG.fullmatch(text) is not None


def parse_name(text: str) -> Repository:
    """A repository's name."""
    if len(text) > LONGEST_NAME or _NAME.fullmatch(text) is None:
        raise Refusal("NAME_INVALID", detail={"name": text[:_SHOWN]})
    return Repository(text)


def is_name(text: str) -> bool:
    """Whether a folder's path is a repository's name."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def parse_blob_digest(text: str) -> Digest:
    """A digest of a registered algorithm."""
    try:
        return parse_digest(text)
    except Invalid as error:
        raise Refusal("DIGEST_INVALID", str(error), {"digest": text[:_SHOWN]}) from error


def parse_tag(text: str) -> Tag:
    """A tag."""
    if _TAG.fullmatch(text) is None:
        raise Refusal("TAG_INVALID", detail={"tag": text[:_SHOWN]})
    return Tag(text)


def parse_target(text: str) -> Tag | Digest:
    """What a manifest is asked for by: a tag holds no colon, a digest one.

    What no manifest can be called is unknown, not wrong: the conformance suite wants 404.
    """
    if ":" in text:
        return parse_blob_digest(text)
    if _TAG.fullmatch(text) is None:
        raise Refusal("MANIFEST_UNKNOWN", detail={"tag": text[:_SHOWN]})
    return Tag(text)

"""Turns untrusted bytes into JSON values, refusing what two parsers could read in two ways.

Duplicate keys, ``NaN`` and deep nesting are how one document gets two meanings or a decoder gets
no end; every document of an image goes through here. Half a surrogate pair, which no text can be
written with, becomes U+FFFD, as in Go's encoding/json.
"""

from __future__ import annotations

from dockyard.base import jsontext
from dockyard.base.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Never


DEPTH = 64
"""Deepest nesting accepted; image documents need five."""


def decode(data: bytes, what: str, *, limit: int) -> Any:
    """The value of one JSON document of at most ``limit`` bytes; :class:`Invalid` otherwise.

    ``what`` names the document in errors.
    """
    if len(data) > limit:
        raise Invalid(f"{what}: {len(data)} bytes: at most {limit} are accepted")
    try:
        text = whole_pairs(data.decode("utf-8"))
        value = _READER.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{what}: not JSON: {error}") from error
    if _depth(value) > DEPTH:
        raise Invalid(f"{what}: nested deeper than {DEPTH} levels")
    return value


def decode_object(data: bytes, what: str, *, limit: int) -> dict[str, Any]:
    """As :func:`decode`, for documents that must be an object."""
    value = decode(data, what, limit=limit)
    if not isinstance(value, dict):
        raise Invalid(f"{what}: a JSON object is expected, not {type(value).__name__}")
    return value


def encode(value: Any) -> bytes:
    """Compact bytes in the order given: the same value always has the same digest."""
    return jsontext.dumps(value, ascii=False).encode()


def whole_pairs(text: str) -> str:
    r"""JSON without an escape (``\ud800``) that is half a surrogate pair (RFC 8259, 8.2)."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    escape = r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
    import re  # few documents have any

    return re.sub(escape, lambda found: r"\ufffd" if found[1] else found[0], text, flags=re.DOTALL)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"key {key!r} appears twice in one object")
            seen.add(key)
    return found


def _no_constant(text: str) -> Never:
    raise ValueError(f"{text} is no JSON number")


_READER = jsontext.Reader(_unique, _no_constant)


def _depth(value: Any) -> int:
    deepest = 0
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, dict):
            item = list(item.values())
        if isinstance(item, list):
            deepest = max(deepest, depth)
            if deepest > DEPTH:
                break
            waiting.extend((inner, depth + 1) for inner in item)
    return deepest

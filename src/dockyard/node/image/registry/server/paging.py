"""Turns ``n`` and ``last`` of a request into a page of a sorted list, and the Link to the next."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

from dockyard.node.image.registry.server.call import Call, line
from dockyard.node.image.registry.server.refusal import Refusal

MOST = 10_000
_LONGEST = 20
T = TypeVar("T", bound=str)


def page(call: Call, found: Sequence[T], path: str) -> tuple[list[T], bytes]:
    """The words after ``last``, at most ``n``; and a header line where more follow (RFC 8288)."""
    size = _size(call)
    last = call.one("last")
    start = bisect.bisect_right(found, last) if last else 0
    taken = list(found[start : start + size])
    if not taken or start + size >= len(found):
        return taken, b""
    query = urlencode({"n": size, "last": taken[-1]})
    return taken, line("Link", f'<{path}?{query}>; rel="next"')


def _size(call: Call) -> int:
    text = call.one("n")
    if text is None:
        return MOST
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST:
        raise Refusal("PAGINATION_NUMBER_INVALID", detail={"n": text[:80]})
    return min(int(text), MOST)

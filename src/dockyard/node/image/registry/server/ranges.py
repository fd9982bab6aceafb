"""Turns ``Range`` and ``Content-Range`` into offsets (RFC 9110, 14; distribution-spec)."""

from __future__ import annotations

import re

_CHUNK = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_BYTES = re.compile(r"bytes=\s*(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))\s*")


class Unsatisfiable(Exception):
    """None of the bytes that were asked for exist."""


def parse_chunk(text: str) -> tuple[int, int] | None:
    """First and last offset of a chunk that is pushed; None where it is none."""
    match = _CHUNK.fullmatch(text)
    if match is None or int(match[2]) < int(match[1]):
        return None
    return int(match[1]), int(match[2])


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """(start, length) of the one range of a request; None where all is to be sent.

    Several ranges, and other units, are answered with the whole, as the RFC allows.
    """
    match = _BYTES.fullmatch(text)
    if match is None:
        return None
    if match[3] is not None:
        length = min(int(match[3]), size)
        if not length:
            raise Unsatisfiable
        return size - length, length
    start = int(match[1])
    end = min(int(match[2]), size - 1) if match[2] else size - 1
    if start >= size or end < start:
        raise Unsatisfiable
    return start, end - start + 1

"""Turns what a request's handling wants its client to know into Warning headers (RFC 9111, 5.5)."""

from __future__ import annotations

from contextvars import ContextVar

_found: ContextVar[list[str] | None] = ContextVar("warnings", default=None)


def begin() -> None:
    """Collect the warnings of the request that this task handles."""
    _found.set([])


def warn(text: str) -> None:
    """Tell the client, beside its answer. Outside of a request nobody listens."""
    found = _found.get()
    if found is not None and text.isprintable():
        found.append(text)


def headers() -> bytes:
    """One header line for each warning."""
    lines = []
    for text in _found.get() or ():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(b'Warning: 299 - "%s"\r\n' % escaped.encode("latin-1", "replace"))
    return b"".join(lines)

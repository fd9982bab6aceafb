"""Turns plain values into compact JSON text, and back, by the C code of ``json`` alone.

``json`` brings ``re`` for what that code leaves to it: errors, and they come from there.
"""

from __future__ import annotations

from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Pairs = Callable[[list[tuple[str, Any]]], Any]


class Reader:
    """``json.loads`` with rules of its own for objects and for ``NaN`` and its like."""

    strict, object_hook, parse_float, parse_int = True, None, float, int

    def __init__(self, pairs: Pairs | None = None, constant: Callable[[str], Any] = float) -> None:
        self.object_pairs_hook, self.parse_constant = pairs, constant
        self.memo: dict[str, str] = {}
        self._scan = make_scanner(self)  # type: ignore[arg-type]

    def loads(self, text: str | bytes) -> Any:
        """The value; :class:`ValueError` where it is no JSON."""
        try:
            plain = (text if isinstance(text, str) else text.decode()).strip(" \t\n\r")
            value, end = self._scan(plain, 0)
            if end == len(plain):
                return value
        except (StopIteration, ValueError, SystemError):
            pass
        from json import loads

        return loads(text, object_pairs_hook=self.object_pairs_hook,
                     parse_constant=self.parse_constant)  # fmt: skip


loads = Reader().loads


def dumps(value: Any, ascii: bool = True) -> str:
    """``json.dumps``, without spaces; ``ascii``: every other character as an escape."""
    seen: dict[int, object] = {}  # of what is in itself
    text = encode_basestring_ascii if ascii else encode_basestring
    encode = make_encoder(seen, _strange, text, None, ":", ",", False, False, True)
    return "".join(encode(value, 0))


def _strange(value: object) -> Any:
    from json import JSONEncoder

    return JSONEncoder().default(value)  # which raises

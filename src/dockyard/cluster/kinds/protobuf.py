"""Turns an object in Kubernetes' protobuf encoding into the JSON object that it stands for.

kubectl sends built-in kinds so since 1.32. The bytes are ``k8s\\0`` and a ``runtime.Unknown`` with
the object inside. Which field has which number says ``protobuf.tsv`` (``tools/protobuf_fields.py``
makes it). What comes out is what Go's JSON encoding of the same object would be: a field that is
empty and not a pointer is left out where its tag says ``omitempty``.

Letters of the table: ``s`` string, ``b`` bool, ``i`` integer, ``f`` double, ``y`` bytes, ``T``
and ``M`` times, ``D`` duration, ``Q`` quantity, ``I`` integer or string, ``R`` and ``F`` raw JSON.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import orjson

from dockyard.base.aio import now
from dockyard.base.errors import Invalid

MAGIC = b"k8s\x00"
DEPTH = 64
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
META = "meta.v1"
Value = int | bytes


class Field(NamedTuple):
    """One field of a message."""

    name: str
    kind: str
    """A letter of the table, or a message's name."""
    shape: str
    """``*``, ``[``, ``{``, or nothing."""
    boxed: bool
    """A list that is a message of its own."""
    kept: bool
    """Written even when it is empty."""
    inline: bool


class Table(NamedTuple):
    """All messages, each parsed when it is asked for."""

    lines: dict[str, str]
    groups: dict[str, str]
    """apiVersion -> package."""


@lru_cache(1)
def table() -> Table:
    """The table, read once."""
    text = (resources.files("dockyard.cluster.kinds") / "protobuf.tsv").read_text()
    rows = [line.partition("\t") for line in text.splitlines()]
    groups = {name.removeprefix("# "): rest for name, _, rest in rows if name.startswith("#")}
    return Table({name: rest for name, _, rest in rows if not name.startswith("#")}, groups)


@lru_cache(None)
def fields_of(message: str) -> dict[int, Field]:
    """The fields of a message by number; a message without fields has none."""
    found = {}
    for word in table().lines.get(message, "").split("\t"):
        name, _, rest = word.partition(":")
        number, _, kind = rest.partition(":")
        if number:
            found[int(number)] = _field(name, kind)
    return found


def _field(name: str, kind: str) -> Field:
    shape = kind[0] if kind[0] in "*[{" else ""
    inner = kind[len(shape) :]
    boxed = inner.startswith("@")
    return Field(name.rstrip("!^"), inner.lstrip("@["), shape, boxed, name.endswith("!"),
                 name.endswith("^"))  # fmt: skip


def decode(data: bytes) -> dict[str, Any]:
    """The object. Raises :class:`Invalid` for bytes that are none."""
    if not data.startswith(MAGIC):
        raise Invalid("protobuf: the body does not begin with the four bytes of the encoding")
    try:
        envelope = dict(_walk(data[len(MAGIC) :]))
        api_version, kind = (_text(each) for each in _type_meta(envelope.get(1, b"")))
        package = table().groups.get(api_version)
        message = f"{package}.{kind}"
        if message not in table().lines:
            message = f"{META}.{kind}"  # DeleteOptions and the like belong to every group
        if package is None or message not in table().lines:
            raise Invalid(f"protobuf: {api_version} {kind}: no such built-in kind")
        body = _message(message, _bytes(envelope.get(2, b"")), 0)
    except (ValueError, struct.error, IndexError, OverflowError, OSError) as error:
        raise Invalid(f"protobuf: the body is damaged: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **body}


def _type_meta(data: Value) -> tuple[Value, Value]:
    found = dict(_walk(_bytes(data)))
    return found.get(1, b""), found.get(2, b"")


def _walk(data: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field on the wire."""
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == VARINT:
            value, place = _varint(data, place)
        elif kind == BYTES:
            size, place = _varint(data, place)
            value, place = data[place : place + size], place + size
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            value, place = data[place : place + size], place + size
        else:
            raise ValueError(f"wire type {kind}")
        if place > end:
            raise ValueError("it ends in the middle of a field")
        yield number, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, place
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")


def _message(name: str, data: bytes, depth: int) -> dict[str, Any]:
    if depth > DEPTH:
        raise ValueError(f"nested deeper than {DEPTH} levels")
    fields = fields_of(name)
    found: dict[str, Any] = {}
    for number, value in _walk(data):
        field = fields.get(number)
        if field is None:  # of a newer release
            continue
        if field.inline:
            found |= _message(field.kind, _bytes(value), depth + 1)
        elif field.shape == "[":
            found.setdefault(field.name, []).append(_value(field, value, depth))
        elif field.shape == "{":
            entry = dict(_walk(_bytes(value)))
            key = _text(entry.get(1, b""))
            found.setdefault(field.name, {})[key] = _value(field, entry.get(2, b""), depth)
        else:
            decoded = _value(field, value, depth)
            if field.shape == "*" or field.kept or not _is_empty(decoded):
                found[field.name] = decoded
    return found


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", 0, False, [])


def _value(field: Field, value: Value, depth: int) -> Any:
    if field.boxed:
        return [_plain(field.kind, each, depth) for _, each in _walk(_bytes(value))]
    return _plain(field.kind, value, depth)


def _plain(kind: str, value: Value, depth: int) -> Any:
    if len(kind) > 1:
        return _message(kind, _bytes(value), depth + 1)
    return LETTERS[kind](value)


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value


def _text(value: Value) -> str:
    return _bytes(value).decode()


def _integer(value: Value) -> int:
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >> 63 else number


def _double(value: Value) -> float:
    found: float = struct.unpack("<d", _bytes(value))[0] if value else 0.0
    return found


def _moment(value: Value) -> float | None:
    parts = dict(_walk(_bytes(value)))
    seconds, nanoseconds = _integer(parts.get(1, 0)), _integer(parts.get(2, 0))
    # Go's zero time, year 1, is what an empty one is written as
    return seconds + nanoseconds / 1e9 if seconds > 0 or nanoseconds > 0 else None


def _time(value: Value) -> str | None:
    moment = _moment(value)
    return None if moment is None else now.stamp(moment)


def _micro_time(value: Value) -> str | None:
    moment = _moment(value)
    return None if moment is None else now.micro_stamp(moment)


def _duration(value: Value) -> str:
    nanoseconds = _integer(dict(_walk(_bytes(value))).get(1, 0))
    return f"{nanoseconds / 1e9:.9f}".rstrip("0").rstrip(".") + "s"


def _quantity(value: Value) -> str:
    return _text(dict(_walk(_bytes(value))).get(1, b"")) or "0"


def _int_or_string(value: Value) -> int | str:
    parts = dict(_walk(_bytes(value)))
    return _text(parts.get(3, b"")) if parts.get(1) else _integer(parts.get(2, 0))


def _raw(value: Value) -> Any:
    raw = _bytes(dict(_walk(_bytes(value))).get(1, b""))
    return orjson.loads(raw) if raw else None


LETTERS: dict[str, Callable[[Value], Any]] = {
    "s": _text,
    "b": bool,
    "i": _integer,
    "f": _double,
    "y": lambda value: base64.b64encode(_bytes(value)).decode(),
    "T": _time,
    "M": _micro_time,
    "D": _duration,
    "Q": _quantity,
    "I": _int_or_string,
    "R": _raw,
    "F": _raw,
}

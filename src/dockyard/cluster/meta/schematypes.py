"""Turns one schema node into a type that holds a JSON value against itself, as Go's decoder would.

A server of Kubernetes decodes into structs: a wrong type is refused, an unknown field is dropped
and named, ``null`` is "not set", quantities and times are stored in their canonical spelling.
``conform`` answers the value to store; it changes the (caller's own) objects it walks.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from dockyard.base.errors import Invalid
from dockyard.cluster.meta import quantity


class Mismatch(Exception):
    """A value that its type can't hold, in the words of Go's decoder."""


class Where(NamedTuple):
    """A place in a document: how a person writes it, how Go's decoder writes it, its struct."""

    path: str
    dotted: str
    struct: str

    def field(self, name: str, struct: str) -> Where:
        return Where(
            f"{self.path}.{name}" if self.path else name,
            f"{self.dotted}.{name}" if self.dotted else name,
            struct,
        )

    def key(self, name: str) -> Where:
        """A map's entry: Go names the map's field only."""
        return Where(f"{self.path}.{name}" if self.path else name, self.dotted, self.struct)

    def item(self, index: int) -> Where:
        return Where(f"{self.path}[{index}]", self.dotted, self.struct)


class SchemaType(Protocol):
    """What a value may be."""

    @property
    def go(self) -> str:
        """Its name in Go, which stands in error messages."""

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        """The value as it is stored; :class:`Mismatch` if this type can't hold it."""


def mismatch(value: Any, where: Where, go: str) -> Mismatch:
    """``json: cannot unmarshal string into Go struct field X.spec.y of type int32``."""
    if isinstance(value, bool):
        word = "bool"
    elif isinstance(value, str):
        word = "string"
    elif isinstance(value, int | float):
        word = f"number {value}" if go.startswith(("int", "uint")) else "number"
    elif isinstance(value, list):
        word = "array"
    else:
        word = "object"
    if where.struct:
        return Mismatch(
            f"json: cannot unmarshal {word} into Go struct field {where.struct}.{where.dotted} "
            f"of type {go}"
        )
    return Mismatch(f"json: cannot unmarshal {word} into Go value of type {go}")


class AnyValue:
    """Anything at all (a free-form extension)."""

    go = "interface {}"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        return value


class String:
    go = "string"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is str:
            return value
        if value is None:
            return ""
        raise mismatch(value, where, self.go)


class Base64:
    """Bytes: base64 with padding."""

    go = "[]uint8"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if value is None:
            return ""
        if type(value) is not str:
            raise mismatch(value, where, self.go)
        try:
            binascii.a2b_base64(value.replace("\n", "").replace("\r", ""), strict_mode=True)
        except ValueError as error:
            found = re.match(r"[A-Za-z0-9+/]*", value)
            at = found.end() if found else 0
            raise Mismatch(f"illegal base64 data at input byte {at}") from error
        return value


class Integer:
    def __init__(self, bits: int):
        self.go = f"int{bits}"
        self._largest = (1 << (bits - 1)) - 1
        self._smallest = -(1 << (bits - 1))

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is int and self._smallest <= value <= self._largest:
            return value
        if value is None:
            return 0
        raise mismatch(value, where, self.go)


class Number:
    go = "float64"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) in (int, float):
            return value
        if value is None:
            return 0
        raise mismatch(value, where, self.go)


class Boolean:
    go = "bool"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if value is True or value is False:
            return value
        if value is None:
            return False
        raise mismatch(value, where, self.go)


class IntOrString:
    go = "intstr.IntOrString"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is str or (type(value) is int and -(2**31) <= value < 2**31):
            return value
        if value is None:
            return 0
        raise mismatch(value, where, "int32" if type(value) in (int, float) else "string")


class Quantity:
    go = "resource.Quantity"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if value is None:
            return "0"
        if type(value) in (int, float):
            value = str(value)
        if type(value) is not str:
            raise Mismatch(quantity.FORMAT_FAULT)
        try:
            return quantity.canonical(value.strip())
        except Invalid as error:
            raise Mismatch(str(error)) from error


_PLAIN_TIME = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ\Z", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


class Time:
    """RFC 3339; stored in UTC, with whole seconds (or six digits: ``MicroTime``)."""

    go = "v1.Time"

    def __init__(self, micro: bool):
        self._micro = micro

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if value is None or value == "":
            return None
        if type(value) is not str:
            raise mismatch(value, where, self.go)
        try:
            if not self._micro and _PLAIN_TIME.match(value):
                datetime.fromisoformat(value[:-1])  # there is no thirteenth month
                return value
            shape = _TIME.match(value)
            if shape is None:
                raise ValueError(value)
            day, clock, fraction, zone = shape.groups()
            digits = (fraction or ".0")[1:7].ljust(6, "0")
            at = datetime.fromisoformat(
                f"{day}T{clock}.{digits}{'+00:00' if zone == 'Z' else zone}"
            ).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Mismatch(
                f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": '
                f'cannot parse "{value}" as "2006"'
            ) from error
        found = at.replace(tzinfo=None, microsecond=0).isoformat()  # strftime's years have no zeros
        return f"{found}.{digits}Z" if self._micro else f"{found}Z"


class Array:
    def __init__(self, item: SchemaType):
        self.item = item

    @property
    def go(self) -> str:
        return f"[]{self.item.go}"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is not list:
            raise mismatch(value, where, self.go)
        item = self.item
        for index, each in enumerate(value):
            value[index] = item.conform(each, where.item(index), unknown)
        return value


class Map:
    """String keys, values of one type."""

    def __init__(self, item: SchemaType):
        self.item = item

    @property
    def go(self) -> str:
        return f"map[string]{self.item.go}"

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise mismatch(value, where, self.go)
        item = self.item
        if type(item) is String:
            # Labels, annotations, config data: most maps, and the quickest to see.
            for key, each in value.items():
                if type(each) is not str:
                    value[key] = item.conform(each, where.key(key), unknown)
            return value
        for key, each in value.items():
            value[key] = item.conform(each, where.key(key), unknown)
        return value


class Struct:
    """Named fields; what is not among them is unknown."""

    def __init__(self, go: str):
        self.go = go
        self.fields: dict[str, SchemaType] = {}

    def conform(self, value: Any, where: Where, unknown: list[str]) -> Any:
        if value is None:
            return {}
        if type(value) is not dict:
            raise mismatch(value, where, self.go)
        fields = self.fields
        gone: list[str] = []
        for name, each in value.items():
            kind = fields.get(name)
            if kind is None:
                unknown.append(f'unknown field "{where.field(name, "").path}"')
                gone.append(name)
            elif each is None:
                gone.append(name)
            elif not (type(each) is str and type(kind) is String):
                stored = kind.conform(each, where.field(name, self.go.rpartition(".")[2]), unknown)
                if stored is None:
                    gone.append(name)
                else:
                    value[name] = stored
        for name in gone:
            del value[name]
        return value

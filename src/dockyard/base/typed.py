"""Turns annotated names into what ``typing`` makes of them, without it: for what commands load.

``typing`` brings ``collections``, ``contextlib``, ``functools``, ``re`` and ``enum``, 6 ms of every
command, and its ``NamedTuple`` compiles code for each class. To a type checker these are its own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
else:
    from _collections import _tuplegetter as getter

    class Protocol:
        """Says something to type checkers only."""


class _Values(tuple):  # type: ignore[type-arg]
    """What classes of named values have in common: see ``collections.namedtuple``."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: dict[str, Any] = {}

    def __new__(cls, /, *values: Any, **named: Any) -> Any:
        if named or len(values) != len(cls._fields):
            values = _filled(cls, values, named)
        return tuple.__new__(cls, values)

    @classmethod
    def _make(cls, values: Any) -> Any:
        return cls(*values)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, /, **named: Any) -> Any:
        if not named.keys() <= {*self._fields}:
            strange = [name for name in named if name not in self._fields]
            raise ValueError(f"{type(self).__name__}: no such fields: {', '.join(strange)}")
        return type(self)(**{**self._asdict(), **named})

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({inside})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)


def _filled(cls: type[_Values], values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """Values in the order of the fields; :class:`TypeError` as of any call."""
    fields = cls._fields
    given = {**dict(zip(fields, values, strict=False)), **named}
    found = {**cls._field_defaults, **given}
    if len(values) + len(named) != len(given) or found.keys() != {*fields}:
        raise TypeError(f"{cls.__name__}: each of {', '.join(fields)} once: got {len(values)} "
                        f"values and {', '.join(named) or 'no names'}")  # fmt: skip
    return tuple([found[name] for name in fields])


if not TYPE_CHECKING:

    class _Maker(type):
        """Makes a plain class of one that says that it is a ``NamedTuple``."""

        def __new__(meta, name, bases, body):
            if not bases:
                return super().__new__(meta, name, bases, body)
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body[field] for field in fields if field in body}
            getters = {field: getter(place, None) for place, field in enumerate(fields)}
            more = {"__slots__": (), "__match_args__": fields, "_fields": fields,
                    "_field_defaults": defaults}  # fmt: skip
            return type(name, (_Values,), {**body, **getters, **more})

    class NamedTuple(metaclass=_Maker):
        """The base that ``class Point(NamedTuple):`` names."""

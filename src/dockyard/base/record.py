"""Turns annotated names into a class of plain values: what the smallest processes have for
``NamedTuple``, which brings `typing` and `collections`: 1.2 MB.

To a type checker it is a ``NamedTuple``: see who uses it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Record:
    """Values by their order or their names; every one has to be there."""

    def __init__(self, *values: object, **named: object) -> None:
        names = tuple(type(self).__annotations__)
        given = {**dict(zip(names, values, strict=False)), **named}
        if len(values) + len(named) != len(names) or len(given) != len(names):
            raise TypeError(f"{type(self).__name__}: {len(names)} values: {', '.join(names)}")
        self.__dict__.update(given)

    def __iter__(self) -> Iterator[object]:
        return iter([self.__dict__[name] for name in type(self).__annotations__])

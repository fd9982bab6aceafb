"""Turns members of an untrusted JSON object into values of the type asked for, or ``Invalid``."""

from __future__ import annotations

from dockyard.base.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


LONGEST_TEXT = 128 * 1024
"""One argument of execve(2) may be this long (MAX_ARG_STRLEN)."""


def mapping(value: Any, where: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise Invalid(f"config: {where}: {_kind(value)} where an object belongs")
    return value


def items(parent: dict[str, Any], name: str, most: int) -> list[Any]:
    """A list of at most ``most``; missing or null is empty."""
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid(f"config: {name}: {_kind(value)} where a list belongs")
    if len(value) > most:
        raise Invalid(f"config: {name}: {len(value)} items; at most {most}")
    return value


def texts(parent: dict[str, Any], name: str, most: int) -> list[str]:
    """A list of texts without NULs."""
    return [_text(item, name, LONGEST_TEXT) for item in items(parent, name, most)]


def text(
    parent: dict[str, Any],
    name: str,
    where: str,
    default: str | None = None,
    longest: int = LONGEST_TEXT,
) -> str:
    """A text without NULs; required where there is no default."""
    value = parent.get(name)
    if value is None:
        if default is None:
            raise Invalid(f"config: {where}.{name}: missing")
        return default
    return _text(value, f"{where}.{name}", longest)


def integer(
    parent: dict[str, Any], name: str, where: str, low: int, high: int, default: int = 0
) -> int:
    """A whole number between two bounds."""
    value = parent.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"config: {where}.{name}: {_kind(value)} where a whole number belongs")
    if not low <= value <= high:
        raise Invalid(f"config: {where}.{name}: {value} is not between {low} and {high}")
    return value


def boolean(parent: dict[str, Any], name: str, where: str) -> bool:
    """True or false; missing is false."""
    value = parent.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Invalid(f"config: {where}.{name}: {_kind(value)} where true or false belongs")
    return value


def absolute(path: str, where: str) -> str:
    """A path that begins at the root."""
    if not path.startswith("/") or len(path) > 4095:
        raise Invalid(f"config: {where}: {path[:80]!r}: not an absolute path")
    return path


def _text(value: Any, where: str, longest: int) -> str:
    if not isinstance(value, str):
        raise Invalid(f"config: {where}: {_kind(value)} where a text belongs")
    if "\0" in value or len(value) > longest:
        raise Invalid(f"config: {where}: a text with a NUL, or longer than {longest}")
    return value


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false"}.get(
        type(value), "null" if value is None else "a number"
    )

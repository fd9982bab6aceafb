"""Turns a fault of one field into the words and the cause that clients of Kubernetes know.

The words are those of ``apimachinery/pkg/util/validation/field``: ``path: Kind of fault: value:
detail``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_NO_VALUE = frozenset(
    {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"}
)
_WORDS = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}


class FieldError(NamedTuple):
    """One fault of one field."""

    reason: str
    path: str
    value: Any = None
    detail: str = ""

    @property
    def body(self) -> str:
        """The fault without its path."""
        text = _WORDS[self.reason]
        if self.reason not in _NO_VALUE:
            text = f"{text}: {shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.path}: {self.body}"

    def cause(self) -> dict[str, Any]:
        """The entry of ``details.causes``."""
        return {"reason": self.reason, "message": self.body, "field": self.path}


def shown(value: Any) -> str:
    """A value as it stands in a message: strings quoted, objects as JSON."""
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def required(path: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", path, None, detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, value, detail)


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", path, value)


def not_found(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", path, value)


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", path, None, detail)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    values = ", ".join(f'"{each}"' for each in supported)
    return FieldError(
        "FieldValueNotSupported", path, value, f"supported values: {values}" if values else ""
    )


def too_long(path: str, limit: int) -> FieldError:
    return FieldError("FieldValueTooLong", path, None, f"may not be more than {limit} bytes")


def too_many(path: str, count: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", path, count, f"must have at most {limit} items")


IMMUTABLE = "field is immutable"


def immutable(path: str, value: Any, old: Any) -> list[FieldError]:
    """A fault if a field that may not change has changed."""
    return [] if value == old else [invalid(path, value, IMMUTABLE)]


def aggregate(messages: Sequence[str]) -> str:
    """Several messages as one: ``[a, b]``; the same message once."""
    unique = list(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"

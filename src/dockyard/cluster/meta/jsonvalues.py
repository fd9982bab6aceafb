"""Turns a JSON value into its own copy, its size, its key among others."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import orjson


def copied(value: Any) -> Any:
    """A deep copy: dicts and lists anew, the rest shared."""
    kind = type(value)
    if kind is dict:
        return {key: copied(each) for key, each in value.items()}
    if kind is list:
        return [copied(each) for each in value]
    return value


def size(value: Any) -> int:
    """About as many bytes as its JSON text."""
    kind = type(value)
    if kind is dict:
        return 2 + sum(len(key) + 4 + size(each) for key, each in value.items())
    if kind is list:
        return 2 + sum(1 + size(each) for each in value)
    return len(value) + 2 if kind is str else 6


def identity(value: Any) -> Hashable:
    """What equal values have in common, and no others: a key for sets and dicts of them."""
    kind = type(value)
    if kind is dict or kind is list:
        return kind, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return float if kind is int else kind, value


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: ``1`` is not ``true``, though Python says so."""
    if type(one) is bool or type(other) is bool:
        return one is other
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)

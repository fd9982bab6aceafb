"""Turns a good JSON document into strategies for bad ones: wrong values at any place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]
GONE = object()
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 5, 2**31, 2**32, 2**63, 2**64, -(2**63) - 1, 10**30, 1.5,
    "", "a", "\0", "/", "..", "a\nb", "\u00e9", "\ud800", "x" * 5000, "9" * 5000, "-1", "0-1",
    [], {}, [None], [[]], {"a": 1}, [1, 2], {"": None}, GONE,
)  # fmt: skip


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where something can be changed."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))


def changed(document: Any, changes: list[tuple[Path, Any]]) -> bytes:
    """The document with other values at these places; a place that an earlier change took is
    left alone."""
    found = json.loads(json.dumps(document))
    for path, value in changes:
        parent = found
        try:
            for step in path[:-1]:
                parent = parent[step]
            if value is GONE:
                del parent[path[-1]]
            else:
                parent[path[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue
    return json.dumps(found).encode()


def mutated(document: Any) -> st.SearchStrategy[bytes]:
    """Texts of the document, each with one to three wrong values."""
    change = st.tuples(st.sampled_from(list(places(document))), st.sampled_from(ODD))
    return st.lists(change, min_size=1, max_size=3).map(lambda each: changed(document, each))

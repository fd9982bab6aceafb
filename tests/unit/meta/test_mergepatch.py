"""RFC 7386: every example of its appendix A."""

from typing import Any

import pytest

from dockyard.cluster.meta import mergepatch

EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("document", "patch", "expected"), EXAMPLES)
def test_examples_of_the_rfc(document: Any, patch: Any, expected: Any) -> None:
    assert mergepatch.apply(document, patch) == expected


def test_nothing_is_shared_with_the_original() -> None:
    document = {"a": {"b": [1]}, "c": {"d": [2]}}
    found = mergepatch.apply(document, {"a": {"x": 1}})
    found["c"]["d"].append(3)
    found["a"]["b"].append(3)
    assert document == {"a": {"b": [1]}, "c": {"d": [2]}}

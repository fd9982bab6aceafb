"""RFC 6902: the examples of its appendix A, pointers of RFC 6901, and the limits."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.meta import errors, jsonpatch

EXAMPLES = [
    json.loads(line)
    for line in Path(__file__).with_name("rfc6902-appendix-a.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each["example"])
def test_examples_of_the_rfc(example: dict[str, Any]) -> None:
    assert jsonpatch.apply(example["document"], example["patch"]) == example["expected"]


@pytest.mark.parametrize(
    ("document", "patch"),
    [
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}]),  # A.9
        ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}]),  # A.12
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}]),  # A.15
        ({"a": 1}, [{"op": "test", "path": "/a", "value": True}]),
        ({"a": [1]}, [{"op": "remove", "path": "/a/1"}]),
        ({"a": [1]}, [{"op": "add", "path": "/a/01", "value": 1}]),
        ({"a": [1]}, [{"op": "replace", "path": "/a/99999999999999", "value": 1}]),
        ({"a": {"b": {}}}, [{"op": "move", "from": "/a", "path": "/a/b/c"}]),
        ({}, [{"op": "remove", "path": "/a"}]),
    ],
)
def test_what_the_document_does_not_allow_is_a_422(document: Any, patch: Any) -> None:
    with pytest.raises(jsonpatch.PatchFailed) as caught:
        jsonpatch.apply(document, patch)
    assert caught.value.http_code == 422


@pytest.mark.parametrize(
    "patch",
    [
        {},
        "x",
        [1],
        [{"op": "spam", "path": "/a"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "add", "path": 1, "value": 1}],
    ],
)
def test_what_is_no_patch_is_a_400(patch: Any) -> None:
    with pytest.raises(errors.BadRequest):
        jsonpatch.apply({"a": 1}, patch)


def test_f10_too_many_operations_are_a_413() -> None:
    patch = [{"op": "add", "path": "/a", "value": 1}] * (jsonpatch.MAX_OPERATIONS + 1)
    with pytest.raises(errors.TooLarge) as caught:
        jsonpatch.apply({}, patch)
    assert caught.value.message == (
        "The allowed maximum operations in a JSON patch is 10000, got 10001"
    )


def test_f10_doubling_copies_are_stopped() -> None:
    patch = [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(60)]
    with pytest.raises(errors.TooLarge):
        jsonpatch.apply({"a": ["x" * 1000]}, patch)


def test_f10_all_or_nothing() -> None:
    document = {"a": {"b": [1, 2]}}
    with pytest.raises(jsonpatch.PatchFailed):
        jsonpatch.apply(
            document,
            [{"op": "remove", "path": "/a/b/0"}, {"op": "test", "path": "/a/b/0", "value": 9}],
        )
    assert document == {"a": {"b": [1, 2]}}


def test_the_value_of_a_patch_is_not_shared() -> None:
    value = {"x": [1]}
    found = jsonpatch.apply(
        {},
        [{"op": "add", "path": "/a", "value": value}, {"op": "copy", "from": "/a", "path": "/b"}],
    )
    found["a"]["x"].append(2)
    assert found["b"] == value == {"x": [1]}


def test_f10_a_document_does_not_become_deeper_than_another_may_be() -> None:
    inner: Any = {}
    for _ in range(60):
        inner = {"a": inner}
    deep = [{"op": "add", "path": "/a" * (60 * n + 1), "value": inner} for n in range(60)]
    copies = [{"op": "copy", "from": "", "path": "/a" * n} for n in range(1, 12)]
    moves = [
        {"op": "add", "path": "/b", "value": {}},
        {"op": "move", "from": "/a", "path": "/b/a"},
        {"op": "move", "from": "/b", "path": "/a"},
    ]
    last = {"op": "copy", "from": "", "path": "/c"}
    for patch in (deep, copies * 200, moves * 99, [*moves * 1200, last]):
        with pytest.raises((errors.BadRequest, errors.TooLarge)):
            jsonpatch.apply({"a": {}}, patch)

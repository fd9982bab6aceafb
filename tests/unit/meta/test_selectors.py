"""Label and field selectors: their grammar, their meaning, what is no selector."""

import pytest

from dockyard.base.errors import Invalid
from dockyard.cluster.meta import selectors


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("x=a", {"x": "a"}, True),
        ("x=a", {"x": "b"}, False),
        ("x==a,y=b", {"x": "a", "y": "b"}, True),
        ("x!=a", {"x": "b"}, True),
        ("x!=a", {}, True),
        ("x!=a", {"x": "a"}, False),
        ("x in (a, b)", {"x": "b"}, True),
        ("x in (a,b)", {}, False),
        ("x notin (a,b)", {"x": "c"}, True),
        ("x notin (a,b)", {}, True),
        ("x", {"x": ""}, True),
        ("x", {"y": ""}, False),
        ("!x", {"y": ""}, True),
        ("!x", {"x": ""}, False),
        ("x>5", {"x": "6"}, True),
        ("x>5", {"x": "5"}, False),
        ("x<5", {"x": "abc"}, False),
        ("x=,y", {"x": "", "y": "1"}, True),
        ("x=", {"x": "", "y": "1"}, True),
        ("x in ()", {"x": ""}, True),
        ("x in (a,)", {"x": ""}, True),
        ("in in (a)", {"in": "a"}, True),
        ("a.io/b in (web),app=shop,!old", {"a.io/b": "web", "app": "shop"}, True),
    ],
)  # fmt: skip
def test_label_selectors(text: str, labels: dict[str, str], matches: bool) -> None:
    assert selectors.parse_labels(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text",
    ["x=a||y=b", "x==a==b", "!x=a", "x<a", "x,a<b=c,", "x in a", "x in (a", "=a", "x=a,", ",x",
     "x in (a b)", "x=(a)", "-x=a", "x=" + "a" * 64, "/x", "x=!"],
)  # fmt: skip
def test_what_is_no_label_selector(text: str) -> None:
    with pytest.raises(Invalid):
        selectors.parse_labels(text)


def test_an_absent_selector_matches_nothing_an_empty_one_everything() -> None:
    assert not selectors.from_object(None).matches({"a": "b"})
    assert selectors.from_object({}).matches({"a": "b"})
    assert not selectors.from_map({}).matches({"a": "b"})


def test_objects_and_text_mean_the_same() -> None:
    found = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    text = selectors.format_label_selector(found)
    assert text == "app=web,!old,tier in (a,b)"
    for labels in (
        {"app": "web", "tier": "a"},
        {"app": "web"},
        {"app": "web", "tier": "a", "old": ""},
    ):
        same = selectors.parse_labels(text).matches(labels)
        assert selectors.from_object(found).matches(labels) is same


def test_field_selectors() -> None:
    known = {"metadata.name", "status.phase"}
    found = selectors.parse_fields("status.phase!=Running,metadata.name=a", known)
    assert found.matches({"metadata.name": "a", "status.phase": "Pending"})
    assert not found.matches({"metadata.name": "a", "status.phase": "Running"})
    assert found.exact("metadata.name") == "a"
    assert found.exact("status.phase") is None
    assert selectors.parse_fields("").matches({})
    assert selectors.parse_fields(r"a=x\,y\=z").requirements[0].value == "x,y=z"


@pytest.mark.parametrize(
    "text", ["spec.foo=1", "status.phase", "status.phase=a=b", r"status.phase=\x"]
)
def test_what_is_no_field_selector(text: str) -> None:
    with pytest.raises(Invalid):
        selectors.parse_fields(text, {"status.phase"})

"""Selectors: text and objects mean the same, and no text breaks the parser."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.errors import Invalid
from dockyard.cluster.meta import selectors

keys = st.sampled_from(["app", "tier", "example.com/zone"])
label_values = st.sampled_from(["a", "b", "c-1", ""])
labels = st.dictionaries(keys, label_values, max_size=3)
expressions = st.one_of(
    st.fixed_dictionaries(
        {
            "key": keys,
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(label_values, min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries({"key": keys, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
label_selectors = st.fixed_dictionaries(
    {"matchLabels": labels, "matchExpressions": st.lists(expressions, max_size=3)}
)


@given(label_selectors, labels)
def test_text_and_object_agree(selector: Any, found: dict[str, str]) -> None:
    text = selectors.format_label_selector(selector)
    parsed = selectors.parse_labels(text)
    assert parsed.matches(found) is selectors.from_object(selector).matches(found)


@given(labels)
def test_a_map_matches_itself(found: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in found.items())
    assert selectors.parse_labels(text).matches(found)
    assert selectors.from_map(found).matches(found) is bool(found)


@given(st.text(alphabet="ab=!,() <>in\t-_./\\", max_size=30))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (selectors.parse_labels, selectors.parse_fields):
        try:
            parse(text).matches({"a": "b"})
        except Invalid:
            continue


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_value_can_be_named_by_a_field_selector(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    found = selectors.parse_fields(f"metadata.name={escaped}")
    assert found.matches({"metadata.name": value})

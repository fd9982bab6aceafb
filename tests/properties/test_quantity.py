"""Quantities: parsing and writing keep the value, and writing is canonical."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockyard.base.errors import Invalid
from dockyard.cluster.meta import quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "e3", "E-3"]
quantities = st.builds(
    lambda sign, whole, fraction, suffix: f"{sign}{whole}{fraction}{suffix}",
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 10**6),
    st.sampled_from(["", ".5", ".25", ".001", "."]),
    st.sampled_from(SUFFIXES),
)


@given(quantities)
@example("5656.25Ki")
def test_canonical_is_a_fixed_point(text: str) -> None:
    """What a binary suffix spells without one (whole, but no multiple of 1024) is read as a decimal
    the next time: CanonicalizeBytes keeps the family, and the text does not."""
    once = quantity.canonical(text)
    again = quantity.canonical(once)
    assert again == once or (text.endswith("i") and once[-1].isdigit())
    assert quantity.parse(again)[0] == quantity.parse(once)[0]
    assert quantity.canonical(again) == again


@given(quantities)
def test_canonical_keeps_the_value(text: str) -> None:
    assert quantity.value_of(quantity.canonical(text)) == quantity.value_of(text)


@given(st.text(max_size=40))
def test_anything_else_is_refused_or_a_number(text: str) -> None:
    try:
        value, _ = quantity.parse(text)
    except Invalid:
        return
    assert abs(value) < Decimal(2) ** 63


@given(st.integers(-(2**60), 2**60))
def test_whole_numbers_are_exact(number: int) -> None:
    assert quantity.whole(str(number)) == number
    assert quantity.milli(f"{number}m") == number


# apimachinery/pkg/api/resource/quantity_test.go and the comments of quantity.go
@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("1.0", "1"),
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.1Gi", "107374182400m"),
        ("1e3", "1e3"),
        ("12e6", "12e6"),
        ("1000k", "1M"),
        ("1000Ki", "1000Ki"),
        ("100Ki", "100Ki"),
        ("-100m", "-100m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("123456789", "123456789"),
        ("1Ei", "1Ei"),
        ("9999999999Ei", "9223372036854775807"),
    ],
)
def test_known_spellings(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "1.1.M", "1+1.0M", "0.1mi", "0.1am", "aoeu", ".5i", "1i", "-3.01i", "e3", "Mi", " 1"],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(Invalid, match="quantities must match the regular expression"):
        quantity.parse(text)


def test_f09_a_number_of_a_million_digits_is_refused_at_once() -> None:
    with pytest.raises(Invalid):
        quantity.parse("9" * 10**6)
    with pytest.raises(Invalid):
        quantity.parse("1e999999999")


@pytest.mark.parametrize(
    ("text", "milli", "whole"),
    [("1", 1000, 1), ("100m", 100, 1), ("1.0001", 1001, 2), ("64Mi", 67108864000, 67108864)],
)
def test_rounding_is_up(text: str, milli: int, whole: int) -> None:
    assert quantity.milli(text) == milli
    assert quantity.whole(text) == whole

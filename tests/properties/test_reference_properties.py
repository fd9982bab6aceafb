"""Whatever is typed: a reference in normal form that parses to itself, or Invalid."""

from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import parse_digest
from dockyard.base.oci.reference import parse_reference

TEXT = st.text(alphabet="abzAZ09._-:/@[] \0sha256", max_size=90)


@given(TEXT)
def test_parse_is_idempotent_or_refuses(text: str) -> None:
    try:
        found = parse_reference(text)
    except Invalid:
        return
    assert parse_reference(str(found)) == found
    assert parse_reference(found.familiar) == found
    assert ".." not in found.repository
    assert found.tag or found.digest


@given(st.text(max_size=150))
def test_a_digest_never_leaves_its_folder(text: str) -> None:
    try:
        digest = parse_digest(text)
    except Invalid:
        return
    assert set(digest.hex) <= set("0123456789abcdef")
    assert digest.algorithm in ("sha256", "sha512")

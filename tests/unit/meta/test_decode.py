"""Bodies: what a hostile one does to the decoder is a 400, never a crash."""

import pytest

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.decode import MAX_BODY, decode_json
from dockyard.cluster.meta.decodeyaml import decode_manifest, decode_yaml


def test_duplicate_keys_are_named_by_path() -> None:
    body = b'{"spec":{"replicas":1,"replicas":2,"c":[{"a":1,"a":2}]}}'
    value, faults = decode_json(body, strict=True)
    assert value["spec"]["replicas"] == 2
    assert faults == ['duplicate field "spec.replicas"', 'duplicate field "spec.c[0].a"']
    assert decode_json(body)[1] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 200 + b"]" * 200,
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":01}',
    ],
)
def test_f09_what_is_no_json_is_a_400(body: bytes) -> None:
    with pytest.raises(errors.BadRequest):
        decode_json(body, strict=True)


def test_f09_a_body_over_the_limit_is_a_413() -> None:
    with pytest.raises(errors.TooLarge):
        decode_json(b" " * (MAX_BODY + 1))


def test_f09_huge_integers_are_bounded() -> None:
    with pytest.raises(errors.BadRequest):
        decode_json(b'{"a":' + b"9" * 1_000_000 + b"}", strict=True)


def test_f09_yaml_aliases_are_refused() -> None:
    bomb = b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n"
    with pytest.raises(errors.BadRequest, match="aliases are not accepted"):
        decode_yaml(bomb)


def test_f09_deep_yaml_is_refused() -> None:
    with pytest.raises(errors.BadRequest, match="nest"):
        decode_yaml(b"[" * 50_000)


@pytest.mark.parametrize(
    "body", [b"a: b: c", b"\x00", b"a: .nan", b"? [a]\n: b", b"a: !!python/object:os.system x"]
)
def test_what_is_no_yaml_value(body: bytes) -> None:
    with pytest.raises(errors.BadRequest):
        decode_yaml(body)


def test_yaml_keys_are_strings_and_dates_are_text() -> None:
    value, faults = decode_yaml(
        b"1: x\ntrue: y\nat: 2024-01-01\nat2: 2024-01-01T00:00:00Z\n1: z\n", strict=True
    )
    assert value == {"1": "z", "true": "y", "at": "2024-01-01", "at2": "2024-01-01T00:00:00Z"}
    assert faults == ['duplicate field "1"']


def test_a_manifest_has_documents() -> None:
    assert decode_manifest(b"---\na: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    "text",
    ["!!int ''", "!!float ''", "!!bool x", "!!int [a]", "!!timestamp {a: b}", "!!binary aGk="],
)
def test_f09_a_tag_that_does_not_fit_is_a_400(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        decode_yaml(f"a: {text}".encode())


def test_f09_numbers_of_base_60_stay_text() -> None:
    """As go-yaml has it ("Compatibility"): of a hundred thousand places a number was computed."""
    value, _ = decode_yaml(b"a: 12:30:45\nb: 190:20:30.15\nc: 0x1f\nd: 1_000")
    assert value == {"a": "12:30:45", "b": "190:20:30.15", "c": 31, "d": 1000}
    long = "1" + ":10" * 500_000
    assert decode_yaml(f"a: {long}".encode())[0] == {"a": long}
    assert decode_yaml(f"a: {long}.5".encode())[0] == {"a": f"{long}.5"}


def test_f09_of_many_duplicate_keys_a_hundred_are_told() -> None:
    """Each once, as sigs.k8s.io/json does: with their path they were gigabytes."""
    twice = b",".join(b'"%d":1,"%d":1' % (number, number) for number in range(200))
    body = b'{"%s":{%s%s}}' % (b"k" * 1_000_000, twice, b',"a":1' * 200_000)
    faults = decode_json(body, strict=True)[1]
    assert len(faults) == len(set(faults)) == 100
    yaml = "\n".join(f"k{number}: 1\nk{number}: 1" for number in range(200))
    assert len(decode_yaml(yaml.encode(), strict=True)[1]) == 100

"""Kubernetes' protobuf encoding: bytes written by hand from the encoding's rules."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.errors import Invalid
from dockyard.cluster.kinds import protobuf
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import errors


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + data(1, data(1, api_version) + data(2, kind)) + data(2, raw)


def decoded(api_version: str, kind: str, raw: bytes) -> dict[str, Any]:
    return protobuf.decode(envelope(api_version, kind, raw))


def test_maps_and_bytes_of_a_secret() -> None:
    entry = data(1, "key") + data(2, b"\x00\xff")
    found = decoded("v1", "Secret", data(1, data(1, "s")) + data(2, entry) + data(3, "Opaque"))
    assert found == {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque",
        "data": {"key": base64.b64encode(b"\x00\xff").decode()},
    }  # fmt: skip


def test_what_is_empty_is_left_out_unless_it_is_a_pointer() -> None:
    """apps/v1 DeploymentSpec: replicas (1) is a pointer, minReadySeconds (5) is none."""
    found = decoded("apps/v1", "Deployment", data(2, number(1, 0) + number(5, 0) + number(7, 0)))
    assert found["spec"] == {"replicas": 0}


def test_inline_fields_stand_in_the_outer_object() -> None:
    """core/v1 Volume: name (1), volumeSource (2), inline; its emptyDir is field 2."""
    volume = data(1, "box") + data(2, data(2, b""))
    found = decoded("v1", "Pod", data(2, data(1, volume)))
    assert found["spec"]["volumes"] == [{"name": "box", "emptyDir": {}}]


def test_numbers_quantities_times_and_targets() -> None:
    port = data(1, "p") + data(2, "TCP") + number(3, 80) + data(4, number(1, 1) + data(3, "http"))
    other = number(3, 81) + data(4, number(1, 0) + number(2, 8081))
    found = decoded("v1", "Service", data(2, data(1, port) + data(1, other)))
    assert found["spec"]["ports"] == [
        {"name": "p", "protocol": "TCP", "port": 80, "targetPort": "http"},
        {"port": 81, "targetPort": 8081},
    ]
    quantity = data(1, "cpu") + data(2, data(1, "250m"))
    container = data(1, "c") + data(8, data(1, quantity))
    found = decoded("v1", "Pod", data(2, data(2, container)))
    assert found["spec"]["containers"] == [
        {"name": "c", "resources": {"limits": {"cpu": "250m"}}},
    ]
    stamp = data(8, number(1, 1_767_225_600))
    assert decoded("v1", "Pod", data(1, stamp))["metadata"] == {
        "creationTimestamp": "2026-01-01T00:00:00Z"
    }
    zero = data(8, number(1, -62135596800) + number(2, 0))
    assert decoded("v1", "Pod", data(1, zero))["metadata"] == {}


def test_negative_numbers() -> None:
    found = decoded("scheduling.k8s.io/v1", "PriorityClass", number(2, -5))
    assert found["value"] == -5


def test_options_belong_to_every_group() -> None:
    found = decoded("apps/v1", "DeleteOptions", number(1, 0) + data(4, "Foreground"))
    assert found == {"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                     "propagationPolicy": "Foreground"}  # fmt: skip


def test_fields_of_a_newer_release_are_passed_over() -> None:
    found = decoded("v1", "ConfigMap", data(1, data(1, "c") + data(999, "?")) + number(998, 1))
    assert found["metadata"] == {"name": "c"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "does not begin"),
        (b"{}", "does not begin"),
        (envelope("v9", "Pod", b""), "no such built-in kind"),
        (envelope("v1", "Nothing", b""), "no such built-in kind"),
        (envelope("v1", "Pod", b"\x0a\x7f"), "in the middle"),
        (envelope("v1", "Pod", b"\xff" * 20), "ten bytes"),
        (envelope("v1", "Pod", b"\x0b"), "wire type 3"),
        (envelope("v1", "Pod", number(1, 1)), "a number where bytes belong"),
        (envelope("v1", "Pod", data(1, data(1, b"\xff"))), "damaged"),
    ],
)
def test_f09_damaged_bodies_are_refused(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        protobuf.decode(body)


def test_f09_depth_is_bounded() -> None:
    """A JSON-schema-like kind that holds itself would be the way in: a list of owner objects."""
    nested = b""
    for _ in range(100):
        nested = data(2, nested)
    with pytest.raises(Invalid):
        protobuf.decode(envelope("v1", "Pod", nested)[:-1])


@given(st.binary(max_size=200))
def test_random_bytes_never_crash(raw: bytes) -> None:
    for kind in ("Pod", "Secret", "Service"):
        try:
            assert decoded("v1", kind, raw)["kind"] == kind
        except Invalid:
            continue


def test_every_type_of_the_table_is_there() -> None:
    known = protobuf.table().lines
    for name in known:
        for field in protobuf.fields_of(name).values():
            assert field.kind in protobuf.LETTERS or field.kind.partition(".")[2], (name, field)
            if len(field.kind) > 1 and field.kind not in known:
                assert protobuf.fields_of(field.kind) == {}, "a message without fields"


@pytest.mark.parametrize("seconds", [1 << 62, (1 << 63) - 1, 1 << 40])
def test_a_moment_beyond_all_calendars_is_refused(seconds: int) -> None:
    """``Event.lastTimestamp`` is field 7; a Time's seconds are its field 1."""
    moment = b"\x08" + varint(seconds)
    body = b"\x3a" + bytes([len(moment)]) + moment
    with pytest.raises((Invalid, errors.BadRequest)):
        registry().conform(events(), decoded("v1", "Event", body))


def events() -> Kind:
    found = registry().kind("v1", "Event")
    assert found is not None
    return found

"""Whatever a client sends as an object of any kind: it is refused in the API's words, or it can be
stored, shown as a row, and changed into another of its kind."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import errors, table
from dockyard.cluster.meta.errors import ApiError
from dockyard.cluster.meta.jsonvalues import copied
from dockyard.cluster.meta.objectmeta import carry_over, stamp
from helpers.apiobjects import CREATED, kind_of, obj
from helpers.schemaobjects import Chance

NOW = 1.8e9
BATCH = 20


def stored(kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a new object, as the API handles it."""
    registry().conform(kind, given)
    if not isinstance(given.get("metadata"), dict):
        raise errors.BadRequest("metadata")
    namespace = "default" if kind.namespaced else ""
    stamp(given, uid="1b4e28ba-2fa1-11d2-883f-0016d3cca427", created=CREATED, namespace=namespace,
          chance=5)  # fmt: skip
    kind.prepare_for_create(given)
    kind.default(given)
    kind.require_valid(given)
    return kind.from_hub(orjson.loads(orjson.dumps(kind.to_hub(given))))


def shown(kind: Kind, found: dict[str, Any]) -> bytes:
    kind.fields(found)
    return orjson.dumps(table.row(found, kind.row(found, NOW), table.METADATA))


@settings(max_examples=60)
@given(st.integers(0, 2**64))
def test_f09_an_object_of_any_kind_is_kept_or_refused(seed: int) -> None:
    random = Random(seed)
    chance = Chance(registry(), random)
    before: dict[Kind, dict[str, Any]] = {}
    for _ in range(BATCH):
        kind = random.choice([each for each in registry().kinds if each.definition])
        with contextlib.suppress(ApiError):
            found = stored(kind, chance.object(kind))
            shown(kind, found)
            old = before.setdefault(kind, found)
            part = random.choice(("", "status")) if kind.has_status else ""
            new = copied(found)
            carry_over(new, old)
            kind.prepare_for_update(new, old, part)
            kind.default(new)
            kind.require_valid(new, old, part)
            shown(kind, new)


@pytest.mark.parametrize(
    "given",
    [
        obj("v1", "Node", status={"addresses": [{}], "conditions": [{}]}),
        obj("v1", "Event", involvedObject={"namespace": "default"},
            eventTime="0001-01-01T00:00:00.5Z", lastTimestamp="0001-01-01T00:00:00Z"),
        obj("networking.k8s.io/v1", "NetworkPolicy",
            spec={"podSelector": {"matchExpressions": [{"key": "a"}, {"operator": "In"}]}}),
    ],
)  # fmt: skip
def test_f24_one_object_does_not_hide_the_others_of_a_list(given: dict[str, Any]) -> None:
    """A row that cannot be made is a table that cannot be made."""
    kind = kind_of(given)
    registry().conform(kind, given)
    assert shown(kind, given)


def test_a_job_without_a_name_is_a_422() -> None:
    given = obj("batch/v1", "Job", spec={"template": {"spec": {}}})
    del given["metadata"]["name"]
    with pytest.raises(errors.Invalid, match="name"):
        stored(kind_of(given), given)


@pytest.mark.parametrize(
    "time", ["2025-13-01T00:00:00Z", "2025-02-30T00:00:00Z", "2025-01-01T29:00:00Z"]
)
def test_a_moment_that_never_was_is_a_400(time: str) -> None:
    given = obj("v1", "Event", involvedObject={}, lastTimestamp=time)
    with pytest.raises(errors.BadRequest, match="parsing time"):
        registry().conform(kind_of(given), given)


def test_years_have_four_digits() -> None:
    given = obj("v1", "Event", involvedObject={}, eventTime="0009-01-01T00:00:00.5Z",
                lastTimestamp="0009-01-01T01:00:00+01:00")  # fmt: skip
    registry().conform(kind_of(given), given)
    assert given["eventTime"] == "0009-01-01T00:00:00.500000Z"
    assert given["lastTimestamp"] == "0009-01-01T00:00:00Z"

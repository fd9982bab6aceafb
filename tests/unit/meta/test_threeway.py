"""The three-way merge of `kubectl apply`: the rules of "Declarative Management of Objects"."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import mergepatch
from dockyard.cluster.meta.patchschema import PatchSchema
from dockyard.cluster.meta.threeway import difference, merge


def pod_spec() -> PatchSchema:
    kind = registry().kind("v1", "Pod")
    assert kind is not None
    return PatchSchema.of(registry().schemas, kind.definition).field("spec")


def containers(*names: str, **fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": name, **fields} for name in names]}


@pytest.mark.parametrize(
    ("before", "now", "there", "wanted"),
    [
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}),
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}),
        ({"m": {"x": 1}}, {"m": {}}, {"m": {"x": 1, "y": 2}}, {"m": {"y": 2}}),
        ({"m": {"x": 1}}, {}, {"m": {"x": 1, "y": 2}}, {}),
        ({}, {"a": None}, {"a": 1, "b": 2}, {"b": 2}),
        ({}, {"l": [1]}, {"l": [1, 2]}, {"l": [1]}),
        ({}, {"m": {"a": 1}}, {"m": "text"}, {"m": {"a": 1}}),
    ],
)
def test_without_a_schema(before: Any, now: Any, there: Any, wanted: Any) -> None:
    assert merge(before, now, there, None) == wanted


def test_elements_are_told_apart_by_their_merge_key() -> None:
    sidecar = {"name": "s", "image": "envoy"}
    there = {"containers": [sidecar, {"name": "c", "image": "1", "imagePullPolicy": "Always"}]}
    now = containers("c", image="2")
    found = merge(containers("c", image="1"), now, there, pod_spec())
    assert found["containers"] == [
        sidecar, {"name": "c", "image": "2", "imagePullPolicy": "Always"},
    ]  # fmt: skip


def test_an_element_that_the_manifest_had_goes() -> None:
    there = containers("a", "b", "own")
    found = merge(containers("a", "b"), containers("b"), there, pod_spec())
    assert [each["name"] for each in found["containers"]] == ["b", "own"]


def test_the_manifests_order_counts() -> None:
    there = containers("own", "a", "b")
    found = merge(containers("a", "b"), containers("b", "a", "new"), there, pod_spec())
    assert [each["name"] for each in found["containers"]] == ["b", "a", "new", "own"]


def test_a_union_keeps_only_what_the_manifest_names() -> None:
    kind = registry().kind("apps/v1", "Deployment")
    assert kind is not None
    schema = PatchSchema.of(registry().schemas, kind.definition)
    there = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    now = {"spec": {"strategy": {"type": "Recreate"}}}
    assert merge({}, now, there, schema)["spec"]["strategy"] == {"type": "Recreate"}


def test_what_is_given_stays_as_it_was() -> None:
    there, now = containers("a", env=[{"name": "X", "value": "1"}]), containers("a")
    found = merge({}, now, there, pod_spec())
    found["containers"][0]["env"].append("changed")
    assert there == containers("a", env=[{"name": "X", "value": "1"}])


@pytest.mark.parametrize(
    ("there", "wanted", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": None}),
        ({"m": {"a": 1, "b": 2}}, {"m": {"a": 1, "c": 3}}, {"m": {"b": None, "c": 3}}),
        ({"l": [1, 2]}, {"l": [2, 1]}, {"l": [2, 1]}),
        ({}, {"m": {}}, {"m": {}}),
    ],
)
def test_the_difference_leads_from_one_to_the_other(there: Any, wanted: Any, patch: Any) -> None:
    assert difference(there, wanted) == patch
    assert mergepatch.apply(there, patch) == wanted


@pytest.mark.parametrize("odd", ["x", 5, None, ["name"], [None]])
def test_what_others_have_left_in_a_list_is_no_element(odd: Any) -> None:
    """The annotation of the last apply is anybody's to write."""
    found = merge({"containers": [odd, {}]}, {"containers": [{"image": "y"}]},
                  {"containers": [odd]}, pod_spec())  # fmt: skip
    assert {"image": "y"} in found["containers"]

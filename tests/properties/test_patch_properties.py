"""Patches: what holds for every document, not for the examples only."""

from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import jsonpatch, mergepatch, strategicpatch
from dockyard.cluster.meta.errors import ApiError
from dockyard.cluster.meta.jsonvalues import copied, same
from dockyard.cluster.meta.patchschema import PatchSchema

keys = st.sampled_from(["a", "b", "c", "a/b", "~", ""])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "y"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=4)
paths = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "a~1b"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operations = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": paths,
            "from": paths,
            "value": values,
        }
    ),
    max_size=5,
)
names = st.sampled_from(["a", "b", "c", "d"])
containers = st.lists(
    st.fixed_dictionaries({"name": names, "image": st.sampled_from(["x", "y"])}),
    max_size=4,
    unique_by=lambda each: each["name"],
)


def nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return any(each is None or nulls(each) for each in value.values())
    return isinstance(value, list) and any(map(nulls, value))


@given(values, operations)
def test_a_json_patch_leaves_its_document_alone(document: Any, patch: Any) -> None:
    before = copied(document)
    with suppress(ApiError):
        jsonpatch.apply(document, patch)
    assert same(document, before)


@given(objects, values)
def test_a_whole_document_can_be_replaced(document: Any, value: Any) -> None:
    assert same(jsonpatch.apply(document, [{"op": "add", "path": "", "value": value}]), value)


@given(objects, objects)
def test_a_merge_patch_is_idempotent(document: Any, patch: Any) -> None:
    once = mergepatch.apply(document, patch)
    assert same(mergepatch.apply(once, patch), once)


@given(objects)
def test_a_document_without_nulls_is_its_own_merge_patch(document: Any) -> None:
    if not nulls(document):
        assert same(mergepatch.apply({}, document), document)
        assert same(mergepatch.apply(document, {}), document)


directives = st.sampled_from(
    ["$patch", "$retainKeys", "$setElementOrder/finalizers", "$deleteFromPrimitiveList/finalizers",
     "$setElementOrder/containers", "name", "finalizers", "containers", "metadata", "spec"]
)  # fmt: skip
hostile = st.recursive(
    scalars | st.sampled_from(["replace", "delete", "merge"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(directives, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(directives, hostile), st.dictionaries(directives, hostile))
@example({}, {"$retainKeys": [{}]})
@example({}, {"spec": {"$patch": {}}})
@example({"spec": {"containers": ["x"]}}, {"spec": {"containers": [{"name": "x"}]}})
def test_f10_a_strategic_patch_gives_an_object_or_says_why(old: Any, patch: Any) -> None:
    schema = PatchSchema.of(registry().schemas, "io.k8s.api.core.v1.Pod")
    before = copied(old)
    with suppress(ApiError):
        assert type(strategicpatch.apply(old, patch, schema)) is dict
    assert same(old, before)


def test_f10_a_patch_of_many_elements_takes_no_longer_than_their_number() -> None:
    """Sixty thousand of each were two billion comparisons."""
    schema = PatchSchema.of(registry().schemas, "io.k8s.api.core.v1.Pod")
    names = [f"a{number}" for number in range(60_000)]
    old = {"metadata": {"finalizers": names}}
    more = {"metadata": {"finalizers": [f"b{number}" for number in range(60_000)]}}
    assert len(strategicpatch.apply(old, more, schema)["metadata"]["finalizers"]) == 120_000
    less = {"metadata": {"$deleteFromPrimitiveList/finalizers": names[1:]}}
    assert strategicpatch.apply(old, less, schema) == {"metadata": {"finalizers": ["a0"]}}
    new = {"spec": {"containers": [{"name": name} for name in names]}}
    assert strategicpatch.apply({}, new, schema) == new


@given(containers, containers)
@settings(deadline=None)
def test_a_strategic_patch_keeps_whom_it_does_not_name(old: Any, new: Any) -> None:
    schema = PatchSchema.of(registry().schemas, "io.k8s.api.core.v1.Pod")
    original = {"spec": {"containers": old}}
    patch = {"spec": {"containers": new, "$setElementOrder/containers": new}}
    found = strategicpatch.apply(original, patch, schema)["spec"]["containers"]
    by_name = {each["name"]: each for each in [*old, *new]}
    assert {each["name"]: each for each in found} == by_name
    named = [each["name"] for each in found if each in new]
    assert named == [each["name"] for each in new]
    own = {each["name"] for each in old} - {each["name"] for each in new}
    assert [each["name"] for each in found if each["name"] in own] == [
        each["name"] for each in old if each["name"] in own
    ]
    again = strategicpatch.apply({"spec": {"containers": found}}, patch, schema)
    assert again["spec"]["containers"] == found

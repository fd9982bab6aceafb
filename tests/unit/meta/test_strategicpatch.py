"""Strategic merge patches, as the API conventions describe them, on the published schemas."""

from typing import Any

import pytest

from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import errors, jsonpatch, strategicpatch
from dockyard.cluster.meta.patchschema import PatchSchema


def schema(definition: str) -> PatchSchema:
    return PatchSchema.of(registry().schemas, definition)


POD = "io.k8s.api.core.v1.Pod"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": spec}


def containers(*found: dict[str, Any]) -> dict[str, Any]:
    return pod(containers=list(found))


def patched(original: dict[str, Any], patch: dict[str, Any], of: str = POD) -> dict[str, Any]:
    return strategicpatch.apply(original, patch, schema(of))


def test_a_container_merges_by_name() -> None:
    found = patched(
        containers(
            {"name": "a", "image": "a:1", "command": ["x", "y"]}, {"name": "b", "image": "b:1"}
        ),
        {"spec": {"containers": [{"name": "a", "image": "a:2", "command": ["z"]}]}},
    )
    assert found["spec"]["containers"] == [
        {"name": "a", "image": "a:2", "command": ["z"]},
        {"name": "b", "image": "b:1"},
    ]


def test_a_new_element_comes_in_the_patchs_order() -> None:
    found = patched(
        containers({"name": "a"}),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "b"}],
            }
        },
    )
    assert [each["name"] for each in found["spec"]["containers"]] == ["b", "a"]


def test_elements_of_the_server_keep_their_place() -> None:
    found = patched(
        containers({"name": "a"}, {"name": "injected"}, {"name": "b"}),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
    )
    names = [each["name"] for each in found["spec"]["containers"]]
    assert names.index("b") < names.index("a")
    assert set(names) == {"a", "b", "injected"}


def test_a_directive_deletes_an_element() -> None:
    found = patched(
        containers({"name": "a"}, {"name": "b"}),
        {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}},
    )
    assert found["spec"]["containers"] == [{"name": "b"}]


def test_a_directive_replaces_a_list() -> None:
    found = patched(
        containers({"name": "a"}, {"name": "b"}),
        {"spec": {"containers": [{"name": "c"}, {"$patch": "replace"}]}},
    )
    assert found["spec"]["containers"] == [{"name": "c"}]


def test_a_directive_replaces_a_map() -> None:
    found = patched(
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"$patch": "replace", "c": "3"}}},
    )
    assert found == {"metadata": {"labels": {"c": "3"}}}


def test_retain_keys_drops_a_unions_other_members() -> None:
    original = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    found = patched(
        original, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, DEPLOYMENT
    )
    assert found == {"spec": {"strategy": {"type": "Recreate"}}}


def test_plain_values_merge_and_are_deleted_by_directive() -> None:
    original = {"metadata": {"finalizers": ["a/x", "b/x"]}}
    merged = patched(original, {"metadata": {"finalizers": ["c/x"]}})
    assert sorted(merged["metadata"]["finalizers"]) == ["a/x", "b/x", "c/x"]
    found = patched(original, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"]}})
    assert found["metadata"]["finalizers"] == ["b/x"]


def test_an_atomic_list_is_replaced() -> None:
    found = patched(
        pod(tolerations=[{"key": "a", "operator": "Exists"}]),
        {"spec": {"tolerations": [{"key": "b", "operator": "Exists"}]}},
    )
    assert found["spec"]["tolerations"] == [{"key": "b", "operator": "Exists"}]


def test_null_deletes_a_field_and_a_missing_one_is_no_fault() -> None:
    found = patched(
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"a": None, "b": None}, "annotations": {"x": None, "y": "1"}}},
    )
    assert found == {"metadata": {"labels": {}, "annotations": {"y": "1"}}}


def test_ports_merge_by_their_number() -> None:
    original = containers({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]})
    found = patched(
        original,
        {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "web"}]}]}},
    )
    assert found["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP", "name": "web"}
    ]
    assert original["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_an_element_without_its_key_is_a_422() -> None:
    with pytest.raises(jsonpatch.PatchFailed, match="error in our request") as caught:
        patched(containers({"name": "a"}), {"spec": {"containers": [{"image": "x"}]}})
    assert "does not contain declared merge key: name" in caught.value.causes[0]["message"]


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"$patch": "spam"}},
        {"spec": {"$retainKeys": "x"}},
        {"spec": {"$deleteFromPrimitiveList/x": "y"}},
        {"spec": {"containers": [{"name": "a"}], "$setElementOrder/containers": "x"}},
        {"spec": {"containers": [1, {"name": "a"}]}},
        {"spec": {"$retainKeys": ["a"], "b": 1}},
    ],
)
def test_f10_a_bad_directive_is_a_400(patch: dict[str, Any]) -> None:
    with pytest.raises(errors.BadRequest):
        patched(containers({"name": "a"}), patch)

"""Objects against their schema: types, unknown fields, canonical values."""

from typing import Any

import pytest

from dockyard.base.errors import Unsupported
from dockyard.cluster.kinds.registry import Registry, registry
from dockyard.cluster.kinds.schemas import releases
from dockyard.cluster.meta import errors


def conform(api_version: str, kind: str, obj: dict[str, Any]) -> list[str]:
    found = registry().kind(api_version, kind)
    assert found is not None
    return registry().conform(found, obj)


def test_every_kind_has_its_definition() -> None:
    for kind in registry().kinds:
        schema = registry().schema(kind)
        group_versions = schema.get("x-kubernetes-group-version-kind")
        assert {"group": kind.group, "version": kind.version, "kind": kind.kind} in group_versions


@pytest.mark.parametrize("release", ["1.30", "1.33", "1.37"])
def test_a_release_is_a_setting(release: str) -> None:
    kinds = Registry(release=release)
    deployment = kinds.kind("apps/v1", "Deployment")
    assert deployment is not None
    assert "properties" in kinds.schema(deployment)


def test_a_release_that_is_not_there_is_named() -> None:
    assert "1.33" in releases()
    with pytest.raises(Unsupported, match=r"release 1\.2: not in this package"):
        Registry(release="1.2").schemas.definition("x")


def test_unknown_fields_are_named_and_dropped() -> None:
    obj: dict[str, Any] = {
        "metadata": {"name": "a", "lables": {}},
        "spec": {"template": {"spec": {"containers": [{"name": "x", "img": "y"}]}}, "foo": 1},
    }
    assert conform("apps/v1", "Deployment", obj) == [
        'unknown field "metadata.lables"',
        'unknown field "spec.template.spec.containers[0].img"',
        'unknown field "spec.foo"',
    ]
    assert obj["spec"] == {"template": {"spec": {"containers": [{"name": "x"}]}}}


def test_strict_decoding_speaks_as_kube_apiserver() -> None:
    kind = registry().kind("apps/v1", "Deployment")
    assert kind is not None
    error = registry().strict_error(kind, ['unknown field "spec.foo"'])
    assert error.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Deployment in version "v1" cannot be handled as a Deployment: strict decoding '
        'error: unknown field "spec.foo"',
        "reason": "BadRequest",
        "code": 400,
    }


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (
            {"spec": {"replicas": "three"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of "
            "type int32",
        ),
        (
            {"spec": {"replicas": 1.5}},
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas "
            "of type int32",
        ),
        (
            {"spec": {"replicas": 2**31}},
            "json: cannot unmarshal number 2147483648 into Go struct field "
            "DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": True}},
            "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of "
            "type int32",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of "
            "type string",
        ),
        (
            {"spec": {"template": {"spec": {"containers": {}}}}},
            "json: cannot unmarshal object into Go struct field "
            "PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as '
            '"2006"',
        ),
        ([], "json: cannot unmarshal array into Go value of type v1.Deployment"),
    ],
)
def test_a_wrong_type_is_a_400(obj: Any, words: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        conform("apps/v1", "Deployment", obj)
    message = caught.value.message
    assert message.startswith('Deployment in version "v1" cannot be handled as a Deployment: ')
    assert message.endswith(words)


def test_values_are_stored_in_their_canonical_spelling() -> None:
    obj: dict[str, Any] = {
        "metadata": {"creationTimestamp": None, "labels": None},
        "spec": {
            "containers": [{"name": "a", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]
        },
    }
    assert conform("v1", "Pod", obj) == []
    assert obj["metadata"] == {}
    limits = obj["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "500m", "memory": "1Gi"}


def test_times_are_stored_in_utc() -> None:
    obj: dict[str, Any] = {"spec": {"renewTime": "2024-01-01T01:00:00+02:00"}}
    conform("coordination.k8s.io/v1", "Lease", obj)
    assert obj == {"spec": {"renewTime": "2023-12-31T23:00:00.000000Z"}}


def test_secrets_must_be_base64() -> None:
    with pytest.raises(errors.BadRequest, match="illegal base64 data at input byte 3"):
        conform("v1", "Secret", {"data": {"a": "abc!"}})
    conform("v1", "Secret", {"data": {"a": "YWJj"}})


def test_f09_nesting_is_bounded() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(errors.BadRequest, match="nested deeper"):
        conform("v1", "ConfigMap", deep)


def test_recursive_schemas_compile() -> None:
    obj = {
        "spec": {
            "versions": [
                {
                    "schema": {
                        "openAPIV3Schema": {"properties": {"a": {"items": {"type": "string"}}}}
                    }
                }
            ]
        }
    }
    assert conform("apiextensions.k8s.io/v1", "CustomResourceDefinition", obj) == []

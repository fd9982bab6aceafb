"""The OpenAPI documents: whole, and with what kubectl reads in them."""

from typing import Any

import pytest

from dockyard.cluster.kinds import openapi
from dockyard.cluster.kinds.registry import registry

GROUP_VERSIONS = [
    (group, version) for group, versions in registry().versions().items() for version in versions
]


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*map(references, node.values()))


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_every_reference_leads_somewhere(group: str, version: str) -> None:
    document = openapi.document(registry(), group, version)
    schemas = document["components"]["schemas"]
    names = {each.removeprefix(openapi.SCHEMAS) for each in references(document)}
    assert names <= schemas.keys()


@pytest.mark.parametrize("kind", registry().kinds, ids=lambda each: f"{each.group}/{each.kind}")
def test_kubectl_finds_what_it_asks_for(kind: Any) -> None:
    """Its query verifier looks at the patch operation of a kind for these parameters."""
    if "patch" not in kind.verbs:
        return
    document = openapi.document(registry(), kind.group, kind.version)
    of_kind = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    found = [
        path["patch"]
        for name, path in document["paths"].items()
        if "patch" in path and path["patch"]["x-kubernetes-group-version-kind"] == of_kind
    ]
    assert found
    for operation in found[:1]:
        assert {"fieldValidation", "dryRun"} <= {each["name"] for each in operation["parameters"]}
    schema = document["components"]["schemas"][kind.definition]
    assert of_kind in schema["x-kubernetes-group-version-kind"]


def test_paths_of_a_namespaced_kind() -> None:
    paths = openapi.document(registry(), "apps", "v1")["paths"]
    one = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    assert {"get", "put", "patch", "delete", "parameters"} == paths[one].keys()
    assert paths[one + "/scale"]["get"]["x-kubernetes-group-version-kind"]["kind"] == "Scale"
    assert paths["/apis/apps/v1/deployments"].keys() == {"get", "parameters"}
    assert paths["/apis/apps/v1/deployments"]["get"]["x-kubernetes-action"] == "list"


def test_the_index_names_every_document() -> None:
    found = openapi.index(registry(), {"api/v1": "abc"})["paths"]
    assert found["api/v1"] == {"serverRelativeURL": "/openapi/v3/api/v1?hash=abc"}
    assert len(found) == len(GROUP_VERSIONS)

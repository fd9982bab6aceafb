"""Discovery says of every resource what the published discovery documents of 1.33 say."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.kinds import discovery
from dockyard.cluster.kinds.registry import registry

ALL = "create delete deletecollection get list patch update watch"
LINES = [
    line.split("|")
    for line in Path(__file__).with_name("resources-1.33.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
GROUP_VERSIONS = list(dict.fromkeys(line[0] for line in LINES))


def expected(group_version: str) -> list[dict[str, Any]]:
    found = []
    scope = ""
    for where, name, kind, own_scope, singular, short, categories, verbs in LINES:
        if where != group_version:
            continue
        scope = own_scope or scope
        entry: dict[str, Any] = {
            "name": name,
            "singularName": singular,
            "namespaced": scope == "N",
            "kind": kind.rpartition(" ")[2],
            "verbs": (ALL if verbs == "*" else verbs).split(),
        }
        if " " in kind:
            entry["group"], entry["version"] = kind.partition(" ")[0].split("/")
        if short:
            entry["shortNames"] = short.split(",")
        if categories:
            entry["categories"] = [categories]
        found.append(entry)
    return found


@pytest.mark.parametrize("group_version", GROUP_VERSIONS)
def test_resources_are_as_published(group_version: str) -> None:
    group, _, version = group_version.rpartition("/")
    found = discovery.resource_list(registry().kinds, group, version)
    assert found is not None
    assert found["groupVersion"] == group_version
    by_name = {each["name"]: each for each in found["resources"]}
    assert by_name == {each["name"]: each for each in expected(group_version)}


def test_nothing_else_is_served() -> None:
    served = [
        f"{group}/{version}" if group else version
        for group, versions in registry().versions().items()
        for version in versions
    ]
    assert set(served) == set(GROUP_VERSIONS)


def test_the_newer_form_says_the_same() -> None:
    for core in (True, False):
        document = discovery.aggregated(registry().kinds, core=core)
        assert document["kind"] == "APIGroupDiscoveryList"
        for item in document["items"]:
            group = item["metadata"].get("name", "")
            for version in item["versions"]:
                old = discovery.resource_list(registry().kinds, group, version["version"])
                assert old is not None
                names = [
                    name
                    for each in version["resources"]
                    for name in (
                        each["resource"],
                        *(
                            f"{each['resource']}/{sub['subresource']}"
                            for sub in each.get("subresources", ())
                        ),
                    )
                ]
                assert names == [each["name"] for each in old["resources"]]


def test_autoscaling_prefers_v2() -> None:
    found = discovery.group(registry().kinds, "autoscaling")
    assert found is not None
    assert found["preferredVersion"]["groupVersion"] == "autoscaling/v2"
    assert [each["version"] for each in found["versions"]] == ["v2", "v1"]

"""Who owns a container's group (config-linux.md, "Cgroup ownership")."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base.oci import runtimespec
from dockyard.base.oci.defaultspec import default_spec
from dockyard.node.runtime.cgroups.ownership import owner

KINDS = ("mount", "pid", "cgroup", "user")


def spec(options: list[str], kinds: tuple[str, ...] = KINDS, uid: int = 0) -> runtimespec.Spec:
    document: dict[str, Any] = default_spec(
        args=["true"], env=[], cwd="/", root="/r", cgroup="a/b",
        namespaces=dict.fromkeys(kinds),
    )  # fmt: skip
    document["process"]["user"]["uid"] = uid
    if "user" in kinds:
        mapped = [{"containerID": 0, "hostID": 7000, "size": 10}]
        document["linux"].update(uidMappings=mapped, gidMappings=mapped)
    for mount in document["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = options
    return runtimespec.parse(document)


def test_the_containers_user_where_everything_is_its_own() -> None:
    assert owner(spec(["rw"])) == 7000
    assert owner(spec(["rw"], uid=3)) == 7003


@pytest.mark.parametrize(
    "found",
    [spec(["ro"]), spec(["rw"], ("mount", "pid", "user")), spec(["rw"], ("mount", "pid", "cgroup")),
     spec(["rw"], uid=10)],
    ids=["read-only", "no cgroup namespace", "no user namespace", "an id that is not mapped"],
)  # fmt: skip
def test_else_nobody(found: runtimespec.Spec) -> None:
    assert owner(found) is None

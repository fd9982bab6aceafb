"""What a program writes of its end is in its pod's status, on a real node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.cluster import Cluster

pytestmark = pytest.mark.root


def ended(cluster: Cluster, name: str, command: str, **container: Any) -> str:
    """The message of a container that has ended."""
    main = {"name": "main", "image": "localhost/busybox:1", "command": ["sh", "-c", command],
            **container}  # fmt: skip
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {"restartPolicy": "Never", "containers": [main]}}  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"pod/{name}", "--timeout=30s")
    state = cluster.get("pod", name)["status"]["containerStatuses"][0]["state"]["terminated"]
    cluster.kubectl("delete", "pod", name)
    return str(state.get("message", ""))


def test_the_file(cluster: Cluster) -> None:
    command = "echo no such order: 42 > /dev/termination-log; exit 3"
    assert ended(cluster, "says", command) == "no such order: 42\n"


def test_the_file_elsewhere_in_a_root_that_nobody_may_write(cluster: Cluster) -> None:
    command = "echo here > /tmp/end; exit 3"
    found = ended(cluster, "elsewhere", command, terminationMessagePath="/tmp/end",
                  securityContext={"readOnlyRootFilesystem": True, "runAsUser": 1000})  # fmt: skip
    assert found == "here\n"


def test_the_log_where_the_file_is_empty(cluster: Cluster) -> None:
    command = "echo one; echo two >&2; exit 3"
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert sorted(ended(cluster, "logs", command, **policy).split()) == ["one", "two"]

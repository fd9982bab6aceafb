"""Workloads as the real kubectl rolls, undoes, pauses, scales, waits for and deletes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.cluster import Cluster

pytestmark = pytest.mark.root
IMAGE = "localhost/busybox:1"


def template(name: str, command: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command],
                 "env": [{"name": "VERSION", "value": "1"}]}  # fmt: skip
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def apply(cluster: Cluster, version: str, kind: str, name: str, **spec: Any) -> None:
    obj = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(obj))


def versions(cluster: Cluster, name: str) -> list[str]:
    found = json.loads(cluster.kubectl("get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
    return [each["spec"]["containers"][0]["env"][0]["value"] for each in found
            if "deletionTimestamp" not in each["metadata"]]  # fmt: skip


def revisions(cluster: Cluster, what: str) -> list[str]:
    """The numbers that ``kubectl rollout history`` lists."""
    lines = cluster.kubectl("rollout", "history", what).splitlines()
    return [line.split()[0] for line in lines if line[:1].isdigit()]


def test_a_deployment(cluster: Cluster) -> None:
    what = "deployment/roll"
    apply(cluster, "apps/v1", "Deployment", "roll", replicas=2,
          selector={"matchLabels": {"app": "roll"}},
          template=template("roll", "sleep 1000"))  # fmt: skip
    said = cluster.kubectl("rollout", "status", what, "--timeout=60s")
    assert 'deployment "roll" successfully rolled out' in said
    cluster.kubectl("set", "env", what, "VERSION=2")
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    assert versions(cluster, "roll") == ["2", "2"]
    assert revisions(cluster, what) == ["1", "2"]
    cluster.kubectl("rollout", "undo", what)
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    assert versions(cluster, "roll") == ["1", "1"]
    assert revisions(cluster, what) == ["2", "3"]
    cluster.kubectl("rollout", "pause", what)
    cluster.kubectl("set", "env", what, "VERSION=3")
    cluster.kubectl("scale", what, "--replicas=3")
    cluster.kubectl("wait", what, "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s")
    assert versions(cluster, "roll") == ["1", "1", "1"]
    cluster.kubectl("rollout", "resume", what)
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    assert versions(cluster, "roll") == ["3", "3", "3"]
    cluster.kubectl("rollout", "restart", what)
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    cluster.kubectl("delete", what, "--cascade=foreground", "--timeout=60s")
    assert cluster.kubectl("get", "rs,pods", "-l", "app=roll", "-o", "name") == ""


def test_a_stateful_set(cluster: Cluster) -> None:
    what = "statefulset/db"
    apply(cluster, "apps/v1", "StatefulSet", "db", replicas=2, serviceName="db",
          selector={"matchLabels": {"app": "db"}},
          template=template("db", "sleep 1000"))  # fmt: skip
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    cluster.kubectl("set", "env", what, "VERSION=2")
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    assert versions(cluster, "db") == ["2", "2"]
    assert revisions(cluster, what) == ["1", "2"]
    cluster.kubectl("rollout", "undo", what)
    cluster.kubectl("rollout", "status", what, "--timeout=60s")
    assert versions(cluster, "db") == ["1", "1"]
    cluster.kubectl("delete", what, "--cascade=foreground", "--timeout=60s")
    assert cluster.kubectl("get", "pods", "-l", "app=db", "-o", "name") == ""


def test_jobs(cluster: Cluster) -> None:
    run = template("load", 'test "$JOB_COMPLETION_INDEX" -lt 3', restartPolicy="Never")
    apply(cluster, "batch/v1", "Job", "load", completions=3, parallelism=2,
          completionMode="Indexed", template=run)  # fmt: skip
    cluster.kubectl("wait", "--for=condition=Complete", "job/load", "--timeout=60s")
    assert cluster.get("job", "load")["status"]["completedIndexes"] == "0-2"
    failing = template("fails", "exit 7", restartPolicy="Never")
    apply(cluster, "batch/v1", "Job", "fails", backoffLimit=0, template=failing)
    cluster.kubectl("wait", "--for=condition=Failed", "job/fails", "--timeout=60s")
    assert "BackoffLimitExceeded" in cluster.kubectl("describe", "job", "fails")
    cluster.kubectl("delete", "job", "load", "fails", "--timeout=60s")
    cluster.kubectl("wait", "--for=delete", "pods", "-l", "app in (load,fails)", "--timeout=60s")

"""Clusters on one machine, started at the same time: each has its own ports and addresses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.cluster import Cluster

pytestmark = pytest.mark.root


def test_two_clusters_start_side_by_side(tmp_path: Path) -> None:
    clusters = [Cluster(tmp_path / name / "data", tmp_path / f"home-{name}") for name in "ab"]
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(Cluster.up, clusters))
            list(threads.map(run_a_pod, clusters))
        found = [each.status() for each in clusters]
        for key in ("api", "ingress_port", "pod_cidr", "service_cidr"):
            assert found[0][key] != found[1][key], key
    finally:
        for each in clusters:
            each.close()


def run_a_pod(cluster: Cluster) -> None:
    """And look its own Service up by name: each cluster's DNS answers for itself."""
    cluster.dockyard("image", "bootstrap", "busybox", "-t", "localhost/busybox:1")
    cluster.kubectl("run", "one", "--image=localhost/busybox:1", "--", "sleep", "600")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
    address = cluster.get("service", "kubernetes")["spec"]["clusterIP"]
    answer = cluster.kubectl(
        "exec", "one", "--", "nslookup", "kubernetes.default.svc.cluster.local"
    )
    assert f"Address: {address}\n" in answer

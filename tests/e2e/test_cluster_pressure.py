"""G11 on a node: a pod, or the control plane, has no memory left; who is not guilty goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockyard.base.linux import cgroupfs
from dockyard.boot import up
from dockyard.boot.supervisor import holder
from dockyard.node.runtime.cgroups import tree
from helpers.cluster import Cluster

from .test_cluster_pods import pod, start

pytestmark = pytest.mark.root
EAT = "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x"
MEGABYTE = 1 << 20


def programs(cluster: Cluster) -> dict[str, int]:
    supervisor = holder(str(cluster.root / "cluster" / "supervisor.lock"))
    assert supervisor is not None
    return up.programs(supervisor)


@contextmanager
def little_memory(pid: int, size: int) -> Iterator[Path]:
    """A process may have so much more than it has. Yields the group's folder in the hierarchy that
    counts memory; it is gone afterwards."""
    path, layout = f"dypressure{secrets.token_hex(4)}", cgroupfs.layout()
    if layout.pure:
        tree.make_v2(path)
    else:
        tree.make_v1(layout.v1["memory"], path)
    folder = Path(cgroupfs.folder("memory", path))
    before = folder.parent
    try:
        (folder / ("memory.max" if layout.pure else "memory.limit_in_bytes")).write_text(str(size))
        (folder / "cgroup.procs").write_text(str(pid))
        yield folder
    finally:
        for line in (folder / "cgroup.procs").read_text().split():
            (before / "cgroup.procs").write_text(line)
        tree.remove(path, 5.0)


def pressed(folder: Path) -> bool:
    """Whether the limit has ever been met."""
    if cgroupfs.layout().pure:
        return cgroupfs.flat(str(folder / "memory.events")).get("max", 0) > 0
    return int((folder / "memory.failcnt").read_text()) > 0


def test_g11_a_pod_out_of_memory_says_so_and_no_other_ends(cluster: Cluster) -> None:
    start(cluster, "calm", "sleep 600", resources={"limits": {"memory": "16Mi"}})
    before = cluster.container("calm")
    guilty = pod("guilty", EAT, spec={"restartPolicy": "Never"},
                 resources={"limits": {"memory": "16Mi"}})  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=guilty)
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/guilty", "--timeout=60s")
    [status] = cluster.get("pod", "guilty")["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert cluster.container("calm") == before
    assert cluster.get("pod", "calm")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_g11_a_control_plane_without_memory_fails_cleanly_and_comes_back(cluster: Cluster) -> None:
    start(cluster, "witness", "sleep 600")
    before = cluster.container("witness")
    text = cluster.root.parent / "large"
    text.write_text("x" * 900_000)
    kept = []
    control = programs(cluster)["control"]
    with little_memory(control, 8 * MEGABYTE) as folder:
        for number in range(24):
            words = ("create", "configmap", f"large{number}", f"--from-file={text}")
            done = cluster.kubectl.run(*words)
            if done.returncode == 0:
                kept.append(f"large{number}")
            else:
                assert done.stderr.strip(), "a failure says why"
                assert "Traceback" not in done.stderr
        assert pressed(folder)
    names = cluster.eventually(
        lambda: cluster.kubectl("get", "configmaps", "-o", "name").split(), "it answers again"
    )
    assert {f"configmap/{name}" for name in kept} <= set(names)  # what was acknowledged is there
    cluster.kubectl("delete", "configmaps", *kept)
    assert cluster.container("witness") == before
    start(cluster, "after", "sleep 600")

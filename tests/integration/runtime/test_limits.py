"""Limits hold: memory, processes, processors, open files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.linux import capabilities
from dockyard.node.runtime.cgroups import group

from .conftest import Yard, refused

pytestmark = pytest.mark.root


def resources(**parts: Any) -> Any:
    return lambda spec: spec["linux"]["resources"].update(parts)


def test_memory(yard: Yard) -> None:
    limit = 16 * 1024 * 1024
    change = resources(memory={"limit": limit, "swap": limit})
    box = yard.box("sh", "-c", "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x", change=change)
    box.start()
    ended = box.wait()
    assert ended.oom_killed
    assert ended.code != 0


def test_no_oom_without_pressure(yard: Yard) -> None:
    box = yard.sh("exit 137", change=resources(memory={"limit": 16 << 20})).start()
    assert not box.wait().oom_killed


def test_processes(yard: Yard) -> None:
    box = yard.sh(
        "for i in $(seq 40); do sleep 1 & done; wait", change=resources(pids={"limit": 8})
    )
    assert "can't fork" in box.run().err


def test_processor_share_and_quota(yard: Yard) -> None:
    change = resources(cpu={"shares": 512, "quota": 20000, "period": 100000, "cpus": "0"})
    box = yard.box("sleep", "60", change=change).start()

    def value(file: str) -> str:
        return Path(f"/sys/fs/cgroup/{file.split('.')[0]}/{box.cgroup}/{file}").read_text().strip()

    assert value("cpu.shares") == "512"
    assert (value("cpu.cfs_quota_us"), value("cpu.cfs_period_us")) == ("20000", "100000")
    assert value("cpuset.cpus") == "0"
    assert box.exec("nproc").out == "1\n"


def test_update(yard: Yard) -> None:
    box = yard.box("sleep", "60", change=resources(memory={"limit": 32 << 20, "swap": 32 << 20}))
    box.start()
    for limit in (64 << 20, 16 << 20):
        box.runtime.update(box.cgroup, {"memory": {"limit": limit, "swap": limit}})
        found = Path(f"/sys/fs/cgroup/memory/{box.cgroup}/memory.limit_in_bytes").read_text()
        assert int(found) == limit


@pytest.mark.parametrize(
    "parts",
    [
        {"memory": {"limit": "64m"}},
        {"memory": {"limit": 2**70}},
        {"memory": []},
        {"pids": {"limit": True}},
        {"cpu": {"cpus": "0-" + "9" * 100}},
        {"cpu": {"cpus": "0;1"}},
        {"devices": [{"allow": True, "type": "z"}]},
        {"devices": [{"allow": True}] * 2000},
    ],
    ids=range(8),
)
def test_a13_limits_that_are_none(yard: Yard, parts: dict[str, Any]) -> None:
    box = yard.sh("true", change=resources(**parts))
    assert "linux.resources" in str(refused(box))
    assert box.groups() == []


@pytest.mark.parametrize("path", ["", "/", "..", "a/../..", "a//b"])
def test_the_root_group_is_nobodys(path: str) -> None:
    for act in (group.remove, group.pids, lambda p: group.create(p, {})):
        with pytest.raises(Invalid):
            act(path)


def test_open_files(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]

    assert yard.sh("ulimit -n; ulimit -Hn", change=change).run().out == "77\n88\n"


def test_an_unknown_limit(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["process"]["rlimits"] = [{"type": "RLIMIT_MOOD", "soft": 1, "hard": 1}]

    assert "RLIMIT_MOOD" in str(refused(yard.sh("true", change=change)))


@pytest.mark.parametrize("score", [500, -998])
def test_oom_score(yard: Yard, score: int) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["process"]["oomScoreAdj"] = score

    box = yard.sh("cat /proc/self/oom_score_adj", change=change)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    # proc(5): lower than it is needs CAP_SYS_RESOURCE
    if score < own and not capabilities.effective() >> 24 & 1:
        assert f"oomScoreAdj: {score}" in str(refused(box))
        assert box.groups() == []
    else:
        assert int(box.run().out) == score

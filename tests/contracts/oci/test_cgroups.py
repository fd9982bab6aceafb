"""linux.resources, pause, resume, ps, update, events: on cgroup v1 (version 2: in the guest)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.linux import cgroupfs
from helpers.ociruntime import Oci, command, until

pytestmark = pytest.mark.root

MEGABYTE = 1024 * 1024
RESOURCES: dict[str, Any] = {
    "memory": {"limit": 64 * MEGABYTE, "reservation": 32 * MEGABYTE, "swap": 96 * MEGABYTE},
    "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 50},
}
FILES = {
    ("memory", "memory.limit_in_bytes"): "67108864",
    ("memory", "memory.soft_limit_in_bytes"): "33554432",
    ("memory", "memory.memsw.limit_in_bytes"): "100663296",
    ("cpu", "cpu.shares"): "512",
    ("cpu", "cpu.cfs_quota_us"): "50000",
    ("cpu", "cpu.cfs_period_us"): "100000",
    ("cpuset", "cpuset.cpus"): "0",
    ("cpuset", "cpuset.mems"): "0",
    ("pids", "pids.max"): "50",
}


def limits(oci: Oci) -> dict[tuple[str, str], str]:
    return {where: oci.value(*where) for where in FILES}


def test_limits(oci: Oci) -> None:
    oci.linux["resources"] |= RESOURCES
    oci.create()
    assert limits(oci) == FILES


def test_every_process_is_in_every_group(oci: Oci) -> None:
    oci.up()
    lines = Path(f"/proc/{oci.pid()}/cgroup").read_text().splitlines()
    found = {line.split(":", 2)[2] for line in lines if not line.startswith("0::")}
    assert found == {oci.group}


@pytest.mark.skipif(
    cgroupfs.layout().pure or not cgroupfs.layout().v2,
    reason="only one version of cgroups is mounted",
)
def test_the_unified_hierarchy_of_a_hybrid_machine(runclike: Oci) -> None:
    """Its group is there too, without limits; commands join it, and it goes with the container."""
    runclike.up()
    place = Path(f"{cgroupfs.layout().v2}{runclike.group}")

    def inside(pid: int) -> bool:
        return f"0::{runclike.group}\n" in Path(f"/proc/{pid}/cgroup").read_text()

    assert inside(runclike.pid())
    pid_file = runclike.folder / "pid"
    runclike.exec("-d", "--pid-file", str(pid_file), "--", "sleep", "100")
    pids = {runclike.pid(), int(pid_file.read_text())}
    assert all(map(inside, pids))
    assert set(map(int, (place / "cgroup.procs").read_text().split())) == pids
    runclike("delete", "--force", runclike.id)
    assert runclike.groups() == []
    assert not place.exists()


def test_without_a_path_there_is_a_group_still(oci: Oci) -> None:
    del oci.linux["cgroupsPath"]
    oci.linux["resources"]["pids"] = {"limit": 33}
    out = oci.out("cat", "/sys/fs/cgroup/pids/pids.max")
    assert out == "33\n"
    assert not list(Path("/sys/fs/cgroup/pids").rglob(oci.id))


def test_a_relative_path(runclike: Oci) -> None:
    name = runclike.group.strip("/")
    runclike.linux["cgroupsPath"] = name
    runclike.linux["resources"]["pids"] = {"limit": 33}
    runclike.up()
    assert runclike.exec("--", "cat", "/sys/fs/cgroup/pids/pids.max").stdout == "33\n"
    runclike("delete", "-f", runclike.id)
    assert not list(Path("/sys/fs/cgroup/pids").rglob(runclike.id))


def test_the_limit_of_processes_holds(oci: Oci) -> None:
    oci.linux["resources"]["pids"] = {"limit": 3}
    done = oci.run("sh", "-c", "for i in 1 2 3 4 5; do sleep 1 & done; wait", check=False)
    assert "fork" in done.stderr


def test_the_limit_of_memory_holds(oci: Oci) -> None:
    oci.linux["resources"]["memory"] = {"limit": 8 * MEGABYTE, "swap": 8 * MEGABYTE}
    script = "sh -c 'exec tail -c 100000000 /dev/zero'; echo $?"
    assert oci.out("sh", "-c", script) == "137\n"


@pytest.mark.parametrize(
    "resources",
    [
        {"cpu": {"period": 1}},
        {"cpu": {"cpus": "77"}},
        {"cpu": {"cpus": "no"}},
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]},
        {"unified": {"memory.max": "1"}},
    ],
    ids=["period", "cpus", "word", "pages", "unified"],
)
def test_limits_that_cannot_be_set(runclike: Oci, resources: dict[str, Any]) -> None:
    runclike.linux["resources"] |= resources
    assert runclike.refused("true")


def test_a_group_that_is_in_use(runclike: Oci) -> None:
    runclike.up()
    other = Oci(runclike.kind, runclike.folder / "more", runclike.tree)
    other.folder.mkdir()
    try:
        other.linux["cgroupsPath"] = runclike.group
        done = other("create", "-b", str(other.bundle("true")), other.id, check=False)
        # runc 1.1 warns, later ones refuse
        assert "not empty" in done.stderr or "in use" in done.stderr
    finally:
        other.close()
    assert Path(f"/proc/{runclike.pid()}").is_dir() or runclike.kind == "runc"


@pytest.mark.skipif("freezer" not in cgroupfs.layout().v1, reason="cgroup v1 is not mounted")
@pytest.mark.parametrize("below", ["", "/below"], ids=["itself", "its parent"])
def test_a_group_that_is_frozen(ours: Oci, below: str) -> None:
    """runc of Debian 12 waits for ever, later ones refuse."""
    root = cgroupfs.layout().v1["freezer"]
    group = Path(f"{root}/{ours.group}")
    group.mkdir(parents=True)
    try:
        (group / "freezer.state").write_text("FROZEN")
        ours.linux["cgroupsPath"] = ours.group + below
        done = ours.run("true", check=False)
        assert (done.returncode, "it is frozen" in done.stderr) == (1, True)
        assert (group / "freezer.state").read_text().strip() == "FROZEN"
    finally:
        (group / "freezer.state").write_text("THAWED")
        group.rmdir()


@pytest.mark.parametrize("path", ["/../up", "/a/../../b", "/"])
def test_a_path_that_climbs(ours: Oci, path: str) -> None:
    ours.linux["cgroupsPath"] = path
    assert ours.refused("true")


def test_devices(oci: Oci) -> None:
    oci.linux["devices"] = [
        {"path": "/dev/first", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
        {"path": "/dev/second", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
    ]
    oci.linux["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"},
    ]
    script = """
        for device in null zero full random urandom tty; do (: < /dev/$device) || echo $device; done
        echo > /dev/first && echo written
        head -c 1 /dev/first || echo unread
        mknod /tmp/sda b 8 0 && (: < /tmp/sda) || echo unopened
    """
    oci.spec["mounts"][-1]["options"] = ["nosuid", "mode=1777"]
    out = oci.out("sh", "-c", script + "exit 0").split()
    assert [word for word in out if word != "tty"] == ["written", "unread", "unopened"]


def test_pause_and_resume(oci: Oci) -> None:
    oci.up("sh", "-c", "while :; do :; done")
    ticks = Path(f"/proc/{oci.pid()}/stat")
    oci("pause", oci.id)
    assert oci.status() == "paused"
    assert oci.value("freezer", "freezer.state") == "FROZEN"
    before = ticks.read_text().rpartition(")")[2].split()[11:13]
    oci("exec", "-d", oci.id, "true", check=False)
    assert ticks.read_text().rpartition(")")[2].split()[11:13] == before
    oci("resume", oci.id)
    assert oci.status() == "running"
    assert oci.value("freezer", "freezer.state") == "THAWED"


def test_pause_twice_and_resume_twice(runclike: Oci) -> None:
    runclike.up()
    assert runclike("resume", runclike.id, check=False).returncode == 1
    runclike("pause", runclike.id)
    assert runclike("pause", runclike.id, check=False).returncode == 1
    runclike("resume", runclike.id)
    assert runclike("resume", runclike.id, check=False).returncode == 1


def test_ps(oci: Oci) -> None:
    oci.up("sh", "-c", "sleep 100 & wait")
    until(lambda: len(oci.value("pids", "cgroup.procs").split()) == 2)
    pids = {int(word) for word in oci.value("pids", "cgroup.procs").split()}
    assert set(json.loads(oci("ps", "--format", "json", oci.id).stdout)) == pids


def test_ps_as_a_table(runclike: Oci) -> None:
    runclike.up()
    heading, line = runclike("ps", runclike.id).stdout.splitlines()
    assert heading.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[1] == str(runclike.pid())
    assert line.endswith("sleep 100")
    chosen = runclike("ps", runclike.id, "-e", "-o", "pid,comm").stdout.splitlines()
    assert [row.split() for row in chosen][1] == [str(runclike.pid()), "sleep"]
    assert runclike("ps", runclike.id, "-o", "comm", check=False).returncode == 1
    assert runclike("ps", "--format", "xml", runclike.id, check=False).returncode == 1


def test_update_by_flags(oci: Oci) -> None:
    oci.linux["resources"] |= RESOURCES
    oci.up()
    oci("update", "--memory", str(128 * MEGABYTE), "--memory-swap", str(256 * MEGABYTE),
        "--cpu-share", "200", "--cpu-period", "200000", "--cpu-quota", "50001",
        "--cpuset-cpus", "0", "--pids-limit", "10", oci.id)  # fmt: skip
    assert limits(oci) == {
        **FILES,
        ("memory", "memory.limit_in_bytes"): str(128 * MEGABYTE),
        ("memory", "memory.memsw.limit_in_bytes"): str(256 * MEGABYTE),
        ("cpu", "cpu.shares"): "200",
        ("cpu", "cpu.cfs_period_us"): "200000",
        ("cpu", "cpu.cfs_quota_us"): "50001",
        ("pids", "pids.max"): "10",
    }


@pytest.mark.parametrize("way", ["file", "input"])
def test_update_by_a_document(oci: Oci, way: str) -> None:
    oci.linux["resources"] |= RESOURCES
    oci.up()
    same = {} if oci.kind == "crun" else {"reservation": 0, "swap": 0}  # go's zeros: as it is
    text = json.dumps({"memory": {"limit": 70 * MEGABYTE, **same}, "cpu": {"shares": 100},
                       "pids": {"limit": 20}})  # fmt: skip
    (oci.folder / "resources").write_text(text)
    if way == "file":
        oci("update", "-r", str(oci.folder / "resources"), oci.id)
    else:
        if oci.kind == "crun":  # 1.8 takes a file only
            return
        oci("update", "--resources", "-", oci.id, stdin=text)
    found = limits(oci)
    assert found["memory", "memory.limit_in_bytes"] == str(70 * MEGABYTE)
    assert found["cpu", "cpu.shares"] == "100"
    assert found["pids", "pids.max"] == "20"
    assert found["cpuset", "cpuset.cpus"] == "0"


def test_update_takes_units_and_no_limit(runclike: Oci) -> None:
    runclike.linux["resources"]["memory"] = {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}
    runclike.up()
    runclike("update", "--memory-swap", "-1", runclike.id)
    runclike("update", "--memory", "96m", runclike.id)
    assert runclike.value("memory", "memory.limit_in_bytes") == str(96 * MEGABYTE)


def test_a_quota_alone_keeps_its_period(runclike: Oci) -> None:
    runclike.linux["resources"]["cpu"] = {"quota": 5000, "period": 10_000}
    runclike.up()
    runclike("update", "--cpu-quota", "3000", runclike.id)
    assert runclike.value("cpu", "cpu.cfs_quota_us") == "3000"
    assert runclike.value("cpu", "cpu.cfs_period_us") == "10000"
    runclike("update", "--cpu-period", "20000", runclike.id)
    assert runclike.value("cpu", "cpu.cfs_period_us") == "20000"
    assert runclike.value("cpu", "cpu.cfs_quota_us") == "3000"
    runclike("update", "--cpu-quota", "-1", runclike.id)
    assert runclike.value("cpu", "cpu.cfs_quota_us") == "-1"


@pytest.mark.parametrize(
    "flags", [["--memory", "zz"], ["--cpu-period", "1"], ["--cpuset-cpus", "77"], ["--memory", "1"]]
)
def test_an_update_that_cannot_be(runclike: Oci, flags: list[str]) -> None:
    runclike.linux["resources"] |= RESOURCES
    runclike.up()
    assert runclike("update", *flags, runclike.id, check=False).returncode == 1
    assert limits(runclike) == FILES


def test_update_of_a_paused_container(runclike: Oci) -> None:
    runclike.up()
    runclike("pause", runclike.id)
    runclike("update", "--pids-limit", "12", runclike.id)
    assert runclike.status() == "paused"
    assert runclike.value("pids", "pids.max") == "12"


def test_verbs_of_a_container_that_has_stopped(runclike: Oci) -> None:
    runclike.up()
    runclike.kill()
    for words in (["pause"], ["resume"], ["events", "--stats"], ["update", "--pids-limit", "5"],
                  ["start"]):  # fmt: skip
        assert runclike(*words, runclike.id, check=False).returncode == 1, words
    assert runclike("ps", "-f", "json", runclike.id).stdout in ("null\n", "[]\n")


def shape(value: Any) -> Any:
    """Names of members, all the way down."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "raw"}
    return None


def test_statistics(runclike: Oci) -> None:
    runclike.linux["resources"] |= RESOURCES
    runclike.up()
    event = json.loads(runclike("events", "--stats", runclike.id).stdout)
    assert (event["type"], event["id"]) == ("stats", runclike.id)
    data = event["data"]
    usage = {"total", "percpu", "percpu_kernel", "percpu_user", "kernel", "user"}
    assert set(data["cpu"]["usage"]) == usage
    assert data["cpu"]["usage"]["total"] > 0
    assert data["pids"] == {"current": 1, "limit": 50}
    assert data["memory"]["usage"]["limit"] == 64 * MEGABYTE
    for name in ("usage", "swap", "kernel"):
        assert {"limit", "usage", "max", "failcnt"} <= set(data["memory"][name])
    assert data["memory"]["raw"]["hierarchical_memory_limit"] == 64 * MEGABYTE
    assert (data["cpuset"]["cpus"], data["cpuset"]["mems"]) == ([0], [0])
    assert {"blkio", "hugetlb", "intel_rdt", "network_interfaces"} <= set(data)


def test_events_come_until_the_end(runclike: Oci) -> None:
    runclike.up()
    words = [*command(runclike.kind), "--root", str(runclike.state_root), "events",
             "--interval", "50ms", runclike.id]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        for _ in range(3):
            assert json.loads(events.stdout.readline())["type"] == "stats"
        runclike.kill()
        runclike("delete", "--force", runclike.id)
        events.communicate(timeout=20)
        assert events.returncode in (0, 1)  # runc 1.1 finds no group any more


def test_an_event_of_no_memory(runclike: Oci) -> None:
    runclike.linux["resources"]["memory"] = {"limit": 16 * MEGABYTE, "swap": 16 * MEGABYTE}
    runclike.up()
    words = [*command(runclike.kind), "--root", str(runclike.state_root), "events",
             "--interval", "50ms", runclike.id]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        assert json.loads(events.stdout.readline())["type"] == "stats"
        runclike("exec", runclike.id, "tail", "-c", "100000000", "/dev/zero", check=False)
        kinds = (json.loads(line)["type"] for line in events.stdout)
        assert any(kind == "oom" for kind in kinds)
        events.terminate()


@pytest.mark.parametrize("interval", ["0", "0s", "-1s"])
def test_an_interval_that_is_none(runclike: Oci, interval: str) -> None:
    runclike.up()
    done = runclike("events", f"--interval={interval}", runclike.id, check=False)
    assert done.returncode == 1

"""systemd as the first process: its driver makes scopes, and its ideas do not undo ours."""

import json
import os
import subprocess
from pathlib import Path

from inside.boxes import GROUPS, MEGABYTE, ROOT, prepare_root, raises, until

from dockyard.base.oci.defaultspec import default_spec
from dockyard.node.runtime.cgroups import dbus, systemd

SCRIPT = "import sys; from dockyard.node.runtime.oci_cli import main; sys.exit(main())"
RUNTIME = ["python3", "-S", "-B", "-c", SCRIPT]
BUNDLE = Path("/tmp/bundle")
UNIT = "/org/freedesktop/systemd1/unit"


def prepare() -> None:
    assert systemd.check() is None
    prepare_root()
    Path("/tmp/seccomp").mkdir(exist_ok=True)


def oci(*words: str) -> str:
    done = subprocess.run([*RUNTIME, "--systemd-cgroup", *words], capture_output=True, text=True,
                          env={"PYTHONPATH": "/opt", "PATH": "/bin"}, stdin=subprocess.DEVNULL,
                          timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def bundle(path: str, **resources: object) -> None:
    spec = default_spec(args=["sleep", "600"], env=["PATH=/bin"], cwd="/", root=str(ROOT),
                        cgroup=path)  # fmt: skip
    spec["linux"]["resources"].update(resources)
    BUNDLE.mkdir(exist_ok=True)
    (BUNDLE / "config.json").write_text(json.dumps(spec))


def run(name: str) -> dict:
    log = Path("/tmp/log")
    with log.open("w") as file:
        done = subprocess.run([*RUNTIME, "--systemd-cgroup", "run", "-d", "-b", BUNDLE, name],
                              stdout=file, stderr=file, stdin=subprocess.DEVNULL, timeout=60,
                              env={"PYTHONPATH": "/opt", "PATH": "/bin"})  # fmt: skip
    assert done.returncode == 0, log.read_text()
    return json.loads(oci("state", name))


def unit(name: str, member: str) -> object:
    """A property of a unit, as systemd has it now."""
    escaped = "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)
    with dbus.Peer(systemd.PRIVATE, 20) as manager:
        kind = "Unit" if member in ("ActiveState", "Description") else "Scope"
        (value,) = manager.call(f"{UNIT}/{escaped}", "org.freedesktop.DBus.Properties", "Get", "ss",
                                f"org.freedesktop.systemd1.{kind}", member)  # fmt: skip
    return value


def reload() -> None:
    with dbus.Peer(systemd.PRIVATE, 60) as manager:
        manager.call(*systemd._MANAGER, "Reload", "")


def test_a_container_is_a_scope() -> None:
    memory = {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}
    cpu = {"shares": 512, "quota": 20000, "period": 100000, "cpus": "0"}
    bundle("machine-made.slice:dy:c1", memory=memory, pids={"limit": 20}, cpu=cpu)
    pid = run("c1")["pid"]
    try:
        group = "machine.slice/machine-made.slice/dy-c1.scope"
        assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/{group}\n"
        assert (GROUPS / group / "cgroup.procs").read_text() == f"{pid}\n"
        for file, value in (("memory.max", str(64 * MEGABYTE)), ("memory.swap.max", "0"),
                            ("pids.max", "20"), ("cpu.weight", "20"), ("cpu.max", "20000 100000"),
                            ("cpuset.cpus", "0")):  # fmt: skip
            assert (GROUPS / group / file).read_text().strip() == value, file
        assert unit("dy-c1.scope", "ActiveState") == "active"
        assert unit("dy-c1.scope", "Delegate") == 1
        assert unit("dy-c1.scope", "MemoryMax") == 64 * MEGABYTE
        assert unit("dy-c1.scope", "ControlGroup") == f"/{group}"
    finally:
        oci("delete", "-f", "c1")
    assert not (GROUPS / group).exists()
    until(lambda: not active("dy-c1.scope"))


def active(name: str) -> bool:
    try:
        return unit(name, "ActiveState") == "active"
    except Exception:
        return False


def test_limits_and_device_rules_survive_a_reload() -> None:
    """Whatever systemd writes at a daemon-reload is what we have told it."""
    bundle("system.slice:dy:c2", memory={"limit": 64 * MEGABYTE}, pids={"limit": 20})
    run("c2")
    group = GROUPS / "system.slice/dy-c2.scope"
    try:
        oci("exec", "c2", "mknod", "/dev/mem2", "c", "1", "1")
        oci("update", "--memory", str(96 * MEGABYTE), "--pids-limit", "30", "c2")
        assert unit("dy-c2.scope", "MemoryMax") == 96 * MEGABYTE
        assert unit("dy-c2.scope", "TasksMax") == 30
        reload()
        assert (group / "memory.max").read_text() == f"{96 * MEGABYTE}\n"
        assert (group / "pids.max").read_text() == "30\n"
        with raises(AssertionError, "Operation not permitted"):
            oci("exec", "c2", "cat", "/dev/mem2")
        oci("pause", "c2")
        assert json.loads(oci("state", "c2"))["status"] == "paused"
        oci("resume", "c2")
    finally:
        oci("delete", "-f", "c2")
    assert not group.exists()


def test_a_name_that_is_taken_is_refused_and_nothing_is_left() -> None:
    bundle("system.slice:dy:c3")
    run("c3")
    try:
        with raises(AssertionError, "UnitExists"):
            oci("create", "-b", str(BUNDLE), "other")
        with raises(AssertionError, "does not exist"):
            oci("state", "other")
        assert active("dy-c3.scope")
    finally:
        oci("delete", "-f", "c3")


def test_a_limit_that_is_refused_leaves_no_scope() -> None:
    bundle("system.slice:dy:c4", memory={"swappiness": 5})
    with raises(AssertionError, "memory.swappiness"):
        oci("create", "-b", str(BUNDLE), "c4")
    until(lambda: not active("dy-c4.scope"))
    assert not (GROUPS / "system.slice/dy-c4.scope").exists()


def test_a_path_of_the_other_driver_is_refused() -> None:
    bundle("/dy/c5")
    with raises(AssertionError, "slice:prefix:name"):
        oci("create", "-b", str(BUNDLE), "c5")


def test_a_process_that_ends_takes_the_scope_with_it() -> None:
    bundle("system.slice:dy:c6")
    pid = run("c6")["pid"]
    os.kill(pid, 9)
    until(lambda: not active("dy-c6.scope"))
    oci("delete", "c6")

"""Version 2 alone: how containers live in their groups, what they see of them, and how they end."""

import os
import select

from inside.boxes import (
    GROUPS,
    MEGABYTE,
    PARENT,
    box,
    limits,
    prepare_v2,
    raises,
    sh,
    until,
    writable_groups,
)  # fmt: skip

from dockyard.base.errors import Invalid, NotFound, Unsupported
from dockyard.base.linux import cgroupstats
from dockyard.node.runtime.cgroups import group, oom

EAT = "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x"


def prepare() -> None:
    prepare_v2()


def test_pause_and_resume() -> None:
    with sh("while :; do :; done") as found:
        found.start()
        found.runtime.pause(found.cgroup)
        assert found.status() == "paused"
        usage = cgroupstats.cpu(found.cgroup).total
        assert cgroupstats.cpu(found.cgroup).total == usage
        found.runtime.resume(found.cgroup)
        until(lambda: cgroupstats.cpu(found.cgroup).total > usage)
        found.runtime.pause(found.cgroup)  # a frozen one can be removed


def test_nobody() -> None:
    for act in (lambda: group.freeze("nobody", True), lambda: group.update("nobody", {})):
        with raises(NotFound, "no such container"):
            act()
    group.remove("nobody")
    assert group.pids("nobody") == []


def test_groups_that_a_container_made_go_with_it() -> None:
    text = """cd /sys/fs/cgroup; mkdir -p a/b c; echo +memory > cgroup.subtree_control
        sleep 600 & echo $! > /sys/fs/cgroup/a/b/cgroup.procs; sleep 600"""
    with sh(text, change=writable_groups) as found:
        found.start()
        inner = GROUPS / found.cgroup / "a/b/cgroup.procs"
        until(lambda: inner.exists() and inner.read_text())
        assert int(inner.read_text().split()[0]) in group.pids(found.cgroup)


def test_commands_follow_an_init_that_has_moved() -> None:
    """An init like systemd makes groups of its own, and then none may be in the outer one."""
    text = """mkdir /sys/fs/cgroup/init.scope; echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs
        echo '+memory +pids' > /sys/fs/cgroup/cgroup.subtree_control; echo up; sleep 600"""
    with sh(text, change=writable_groups) as found:
        found.start()
        until(lambda: "memory" in found.file("cgroup.subtree_control"))
        said = found.exec("cat", "/proc/self/cgroup")
        assert said.out == "0::/init.scope\n", said


def test_monitors_live_beside_their_containers() -> None:
    with box("sleep", "600") as found:
        found.start()
        file = GROUPS / PARENT / "monitors/cgroup.procs"
        until(lambda: file.exists() and file.read_text().split())
    until(lambda: not (GROUPS / PARENT).exists())


def test_one_that_is_refused_changes_nothing() -> None:
    memory = {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}
    with box("sleep", "600", change=limits(memory=memory)) as found:
        found.start()
        with raises(Invalid, "cpu.max"):
            found.update(memory={"limit": 32 * MEGABYTE}, cpu={"shares": 99, "quota": 7})
        assert found.file("memory.max") == str(64 * MEGABYTE)
        assert found.file("cpu.weight") == "100"


def test_a_controller_that_is_not_passed_on() -> None:
    """A process in the group above keeps it from passing controllers on; the refusal says so."""
    above = GROUPS / "full"
    above.mkdir()
    pid = os.fork()
    if pid == 0:
        (above / "cgroup.procs").write_text("0")
        os.execv("/bin/sleep", ["sleep", "600"])
    try:
        until(lambda: (above / "cgroup.procs").read_text())
        with raises(Unsupported, "live in it, not in a group below"):
            group.create("full/c", {"memory": {"limit": MEGABYTE}})
        assert not (above / "c").exists()
        assert (above / "cgroup.type").read_text() == "domain\n"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        until(lambda: not (above / "cgroup.procs").read_text())
        above.rmdir()


# out of memory, statistics


def test_whoever_watches_hears_of_it() -> None:
    """A child is killed, so that the group is there until it is told to end."""
    change = limits(memory={"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE})
    with sh(f"sleep 2; ({EAT}); sleep 600; :", change=change) as found:
        found.start()
        with oom.watch(found.cgroup) as events:
            seen = hear(events, oom.OOM)
            assert oom.GONE not in seen
            found.runtime.signal(found.launch.run_dir, 9)
            hear(events, oom.GONE)


def hear(events: oom.Events, awaited: str) -> list[str]:
    seen: list[str] = []
    while awaited not in seen:
        assert select.select([events], [], [], 60)[0], seen
        seen += events.read()
    return seen


def test_both_at_once_are_both_heard() -> None:
    """Whoever reads late finds the kill and the end behind one reading."""
    alone = GROUPS / "alone"
    alone.mkdir()
    for name in ("memory.max", "memory.swap.max"):
        if (alone / name).exists():
            (alone / name).write_text(str(32 * MEGABYTE))
    try:
        with oom.watch("alone") as events:
            assert os.system(f"echo $$ > {alone}/cgroup.procs; {EAT}") == 9
            until(lambda: "populated 0" in (alone / "cgroup.events").read_text())
            assert select.select([events], [], [], 60)[0]
            assert events.read() == [oom.OOM, oom.GONE]
    finally:
        alone.rmdir()


def test_statistics() -> None:
    text = "x=$(head -c 8m /dev/zero | tr '\\0' x); sleep 600; :"
    change = limits(memory={"limit": 128 * MEGABYTE}, pids={"limit": 50})
    with sh(text, change=change) as found:
        found.start()
        until(lambda: cgroupstats.memory(found.cgroup).anonymous > 8 * MEGABYTE)
        until(lambda: cgroupstats.pids(found.cgroup) == cgroupstats.Pids(2, 50))
        memory, cpu = cgroupstats.memory(found.cgroup), cgroupstats.cpu(found.cgroup)
        assert memory.usage.limit == 128 * MEGABYTE
        assert memory.anonymous <= memory.usage.used
        assert cpu.total > 0
        assert cpu.user + cpu.kernel <= cpu.total * 1.01 + 10_000_000


# what a container sees


def test_a09_a_container_sees_and_writes_nothing_but_reads_its_own() -> None:
    text = ("cat /proc/self/cgroup; ls /sys/fs/cgroup | grep -c memory.max;"
            " echo 1 > /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x")  # fmt: skip
    with sh(text) as found:
        said = found.run()
        assert said.out == "0::/\n1\n", said
        assert said.err.count("Read-only file system") == 2


def test_a09_without_a_namespace_of_its_own_it_is_read_only() -> None:
    def shared(spec: dict) -> None:
        kinds = spec["linux"]["namespaces"]
        spec["linux"]["namespaces"] = [kind for kind in kinds if kind["type"] != "cgroup"]

    for kind in ("cgroup", "cgroup2"):

        def change(spec: dict, kind: str = kind) -> None:
            shared(spec)
            for mount in spec["mounts"]:
                if mount["type"] == "cgroup":
                    mount.update(type=kind, options=["rw"])

        with sh("mkdir /sys/fs/cgroup/x; cat /proc/self/cgroup", privileged=True,
                change=change) as found:  # fmt: skip
            said = found.run()
            assert "Read-only file system" in said.err
            assert said.out == f"0::/{found.cgroup}\n"
    assert not (GROUPS / "x").exists()


def test_a_namespace_of_its_own_may_be_written() -> None:
    with sh("mkdir /sys/fs/cgroup/x && cat /proc/self/cgroup", change=writable_groups) as found:
        assert found.run().out == "0::/\n"

"""Version 2 alone: every field of ``linux.resources`` has its effect, or is refused by name."""

import os

from inside.boxes import GROUPS, PARENT, box, limits, prepare_root, python, sh, until

MEGABYTE = 1 << 20


def prepare() -> None:
    os.system("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    prepare_root()


def test_memory() -> None:
    change = limits(memory={"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE})
    with sh("x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x", change=change) as found:
        found.start()
        ended = found.wait()
        assert ended.oom_killed
        assert ended.code != 0


def test_memory_files() -> None:
    memory = {"limit": 64 * MEGABYTE, "swap": 96 * MEGABYTE, "reservation": 16 * MEGABYTE}
    with box("sleep", "600", change=limits(memory=memory)) as found:
        found.start()
        assert found.file("memory.max") == str(64 * MEGABYTE)
        assert found.file("memory.swap.max") == str(32 * MEGABYTE)
        assert found.file("memory.low") == str(16 * MEGABYTE)


def test_pids() -> None:
    with sh(
        "for i in $(seq 40); do sleep 1 & done; wait", change=limits(pids={"limit": 8})
    ) as found:
        assert "can't fork" in found.run().err


def test_cpu() -> None:
    cpu = {"shares": 512, "quota": 20000, "period": 100000, "burst": 5000, "cpus": "0"}
    with box("sleep", "600", change=limits(cpu=cpu)) as found:
        found.start()
        assert found.file("cpu.weight") == "20"  # KEP-2254: 1 + 510 * 9999 / 262142
        assert found.file("cpu.max") == "20000 100000"
        assert found.file("cpu.max.burst") == "5000"
        assert found.file("cpuset.cpus") == "0"
        assert found.exec("nproc").out == "1\n"


def test_devices() -> None:
    with sh("mknod /dev/mem2 c 1 1 && cat /dev/mem2") as found:
        said = found.run()
        assert "Operation not permitted" in said.err, said


def test_monitors_live_beside_their_containers() -> None:
    with box("sleep", "600") as found:
        found.start()
        file = GROUPS / PARENT / "monitors/cgroup.procs"
        until(lambda: file.exists() and file.read_text().split())
    until(lambda: not (GROUPS / PARENT).exists())


def test_python_is_there() -> None:
    with python("print(6 * 7)") as found:
        assert found.run().out == "42\n"

"""Version 2 alone: the device filter (A17)."""

from inside.boxes import (
    MEGABYTE,
    box,
    limits,
    prepare_v2,
    programs,
    sh,
    until,
    writable_groups,
)  # fmt: skip

from dockyard.base.linux import bpf


def prepare() -> None:
    prepare_v2()


def test_a17_what_is_not_listed_cannot_be_opened() -> None:
    with sh("mknod /dev/mem2 c 1 1; cat /dev/mem2; cat /dev/null; echo $?") as found:
        said = found.run()
        assert "can't open '/dev/mem2': Operation not permitted" in said.err, said
        assert said.out == "0\n"


def test_a17_the_filter_is_there_before_the_program() -> None:
    with box("sleep", "600") as found:
        found.pid, _ = found.runtime.create(found.launch)
        assert programs(found) == 1


def test_a17_the_filter_survives_updates() -> None:
    with sh("mknod /dev/mem2 c 1 1; sleep 600") as found:
        found.start()
        before = programs(found)
        for parts in ({"memory": {"limit": 64 * MEGABYTE}}, {"pids": {"limit": 9}}, {}):
            found.update(**parts)
            assert programs(found) == before == 1
        until(lambda: found.exec("test", "-e", "/dev/mem2").code == 0)
        assert "Operation not permitted" in found.exec("cat", "/dev/mem2").err


def test_a17_an_update_replaces_it() -> None:
    with sh("mknod /dev/f c 1 7; mknod /dev/tty9 c 4 9; sleep 600") as found:
        found.start()
        until(lambda: found.exec("test", "-e", "/dev/tty9").code == 0)
        assert "not permitted" in found.exec("dd", "if=/dev/tty9", "count=0").err
        rule = {"allow": True, "type": "c", "major": 4, "minor": 9, "access": "r"}
        found.update(devices=[rule])
        assert programs(found) == 1
        assert "not permitted" not in found.exec("dd", "if=/dev/tty9", "count=0").err
        assert "not permitted" in found.exec("sh", "-c", "exec 3<>/dev/tty9").err
        found.update(devices=[])
        assert "not permitted" in found.exec("dd", "if=/dev/tty9", "count=0").err


def test_a17_groups_below_are_under_it_too() -> None:
    text = ("mkdir /sys/fs/cgroup/a && echo $$ > /sys/fs/cgroup/a/cgroup.procs &&"
            " cat /dev/mem2")  # fmt: skip
    with sh(f"mknod /dev/mem2 c 1 1; {text}", change=writable_groups) as found:
        assert "can't open '/dev/mem2': Operation not permitted" in found.run().err


def test_a17_a_thousand_rules_pass_the_verifier() -> None:
    rules = [{"allow": number % 3 != 0, "type": "bc"[number % 2], "major": number % 50,
              "minor": number, "access": ("r", "rw", "m")[number % 3]}
             for number in range(1000)]  # fmt: skip
    with sh("cat /dev/null && echo fine", change=limits(devices=rules)) as found:
        assert found.run().out == "fine\n"


def test_a17_without_bpf_nobody_starts_but_the_privileged() -> None:
    real = bpf._bpf
    try:
        bpf._bpf = lambda *_: (_ for _ in ()).throw(OSError(38, "bpf: not implemented"))
        with sh("true") as found:
            assert "takes no device filter" in found.refusal()
        with sh("echo here", privileged=True) as found:
            assert found.run().out == "here\n"
    finally:
        bpf._bpf = real


def test_privileged_has_no_filter() -> None:
    with box("sleep", "600", privileged=True) as found:
        found.start()
        assert programs(found) == 0
        found.update(devices=[])
        assert programs(found) == 1
        found.update(devices=[{"allow": True, "access": "rwm"}])
        assert programs(found) == 0

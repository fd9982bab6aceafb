"""Real containers by way of the engine: what is inside them, how they end, and who looks on."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from dockyard.base.errors import Conflict, DockyardError, Invalid
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine.config import Resources

from .conftest import Yard

pytestmark = pytest.mark.root


def test_a_program_runs_and_its_exit_code_comes_back(yard: Yard) -> None:
    assert yard.sh("echo hello; exit 7") == (7, "hello\n")
    assert yard.sh("sh -c 'kill -9 $$'; exit $?") == (137, "Killed\n")


def test_what_the_environment_is(yard: Yard) -> None:
    code, text = yard.run("env", hostname="box", env=("A=1",))
    assert code == 0
    assert sorted(text.split()) == [
        "A=1", "HOME=/root", "HOSTNAME=box",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]  # fmt: skip


def test_the_files_of_etc_are_its_own(yard: Yard) -> None:
    _, text = yard.sh("hostname; cat /etc/hostname /etc/hosts", hostname="box",
                      extra_hosts=("db:10.0.0.9",))  # fmt: skip
    assert text.startswith("box\nbox\n")
    assert "10.0.0.9\tdb\n" in text
    assert not (yard.lower / "etc/hosts").exists(), "the root below is not written to"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "uid=0(root) gid=0(root) groups=0(root)"),
        ("app", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("1000", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("1000:0", "uid=1000(app) gid=0(root) groups=0(root)"),
        ("77:88", "uid=77 gid=88 groups=88"),
    ],
)
def test_a11_who_it_runs_as(yard: Yard, user: str, expected: str) -> None:
    assert yard.run("id", user=user) == (0, expected + "\n")


@pytest.mark.parametrize("user", ["4294967296:0", "-1", "0x0", "nobody-here", "9" * 40])
def test_a11_a_user_that_is_none_is_refused(yard: Yard, user: str) -> None:
    with pytest.raises(Invalid):
        yard.run("id", user=user)


def test_a10_capabilities_of_root_and_of_a_user(yard: Yard) -> None:
    for user, effective in (("", "00000000a80425fb"), ("app", "0" * 16)):
        _, text = yard.sh("grep Cap /proc/self/status", user=user)
        found = dict(line.split(":\t") for line in text.splitlines())
        assert found["CapBnd"] == "00000000a80425fb"
        assert found["CapEff"] == effective
        assert found["CapInh"] == found["CapAmb"] == "0" * 16


def test_a01_nothing_of_ours_is_open(yard: Yard) -> None:
    assert yard.sh("ls /proc/self/fd")[1].split() == ["0", "1", "2", "3"], "3 is ls's own"
    box = yard.start("sleep", "100")
    assert yard.exec(box, "ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]


def test_limits_are_the_kernels(yard: Yard) -> None:
    limits = Resources(memory=64 << 20, pids=20, nano_cpus=500_000_000)
    box = yard.start("sleep", "100", resources=limits)
    group = Path("/sys/fs/cgroup")
    place = yard.engine.places.cgroup(box.id)
    assert (group / "memory" / place / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
    assert (group / "pids" / place / "pids.max").read_text() == "20\n"
    assert (group / "cpu" / place / "cpu.cfs_quota_us").read_text() == "50000\n"


def test_a_program_that_is_not_there(yard: Yard) -> None:
    for args, code in ((("nope",), 127), (("/etc/passwd",), 126)):
        made = yard.make(*args)
        with pytest.raises(StartFailed) as caught:
            yard.engine.start(made.id)
        assert caught.value.exit_code == code
        assert yard.engine.find(made.id).status == "created"


def test_a_read_only_root(yard: Yard) -> None:
    assert yard.sh("touch /x 2>&1 && echo wrote", read_only=True)[1].endswith(
        "Read-only file system\n"
    )


def test_what_it_changed_is_there_when_it_runs_again(yard: Yard) -> None:
    new = "grep -q new /etc/passwd || echo new:x:7:7::/:/bin/sh >> /etc/passwd"
    made = yard.make("sh", "-c", f"echo x >> /count; cat /count; {new}; id -u new")
    first = _attached(yard, made.id)
    second = _attached(yard, made.id)
    assert first == (0, "x\n7\n")
    assert second == (0, "x\nx\n7\n")


def _attached(yard: Yard, container_id: str) -> tuple[int, str]:
    from .conftest import collect

    return collect(yard.engine.start(container_id, attach=True))


def test_a11_exec_knows_the_users_that_were_added_inside(yard: Yard) -> None:
    box = yard.start("sleep", "100")
    yard.exec(box, "sh", "-c", "echo late:x:4321:7::/:/bin/sh >> /etc/passwd")
    assert yard.exec(box, "id", "-u", user="late") == (0, "4321\n")
    with pytest.raises(Invalid, match="no matching entries in passwd"):
        yard.exec(box, "id", user="never")


def test_a12_exec_does_not_wait_for_a_pipe_in_the_place_of_passwd(yard: Yard) -> None:
    box = yard.start("sleep", "100")
    yard.exec(box, "sh", "-c", "rm /etc/passwd; mkfifo /etc/passwd")
    with pytest.raises(DockyardError, match="not a regular file"):
        yard.exec(box, "id", user="app")


def test_exec_is_confined_as_the_container_is(yard: Yard) -> None:
    box = yard.start("sleep", "100", security_opt=("no-new-privileges",), cap_drop=("ALL",),
                     user="app", env=("A=1",), workdir="/tmp")  # fmt: skip
    _, text = yard.exec(box, "sh", "-c", "id -u; pwd; echo $A; grep -E 'NoNew|CapBnd|Seccomp:' "
                        "/proc/self/status")  # fmt: skip
    lines = text.split("\n")
    assert lines[:3] == ["1000", "/tmp", "1"]
    assert "NoNewPrivs:\t1" in lines
    assert "Seccomp:\t2" in lines
    assert f"CapBnd:\t{'0' * 16}" in lines


def test_a_stop_is_a_signal_and_then_a_kill(yard: Yard) -> None:
    polite = yard.start("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done")
    yard.engine.stop(polite.id)
    assert yard.engine.find(polite.id).exit_code == 9
    deaf = yard.start("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    yard.engine.stop(deaf.id, 0.1)
    assert yard.engine.find(deaf.id).exit_code == 137
    yard.engine.stop(deaf.id)
    other = yard.start("sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.05; done",
                       stop_signal="SIGUSR1")  # fmt: skip
    yard.engine.stop(other.id, 0)
    assert yard.engine.find(other.id).status == "exited"


def test_a_paused_container_can_be_killed(yard: Yard) -> None:
    box = yard.start("sleep", "100")
    yard.engine.pause(box.id)
    assert yard.engine.find(box.id).status == "paused"
    with pytest.raises(Conflict, match="paused"):
        yard.exec(box, "true")
    yard.engine.kill(box.id)
    ended = yard.engine.wait(box.id, 10)
    assert ended is not None
    assert ended.exit_code == 137


def test_a_network_and_its_names_are_shared(yard: Yard) -> None:
    first = yard.start("sleep", "100", name="first", hostname="one", network="bridge")
    _, text = yard.sh("ip addr show eth0 | grep -o 'inet [0-9.]*'; cat /etc/hosts",
                      network=f"container:{first.id}")  # fmt: skip
    assert f"inet {first.address}\n" in text
    assert f"{first.address}\tone\n" in text


def test_logs_follow_to_the_end(yard: Yard) -> None:
    box = yard.start("sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done; echo bad >&2")
    entries = list(yard.engine.logs(box.id, follow=True))
    assert [entry.text for entry in entries if entry.stream == "stdout"] == [
        f"{n}\n" for n in range(1, 6)
    ]
    assert entries[-1].stream == "stderr"
    assert [entry.text for entry in yard.engine.logs(box.id, tail=1)] == ["bad\n"]


def test_g08_a_monitor_that_was_killed_is_noticed(yard: Yard) -> None:
    box = yard.start("sleep", "100", network="bridge")
    parent = int(Path(f"/proc/{box.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    ended = yard.engine.wait(box.id, 10)
    assert ended is not None
    assert (ended.status, ended.exit_code, ended.address) == ("exited", 137, "")
    yard.engine.start(box.id)
    assert yard.engine.find(box.id).status == "running"


def test_g07_another_engine_sees_the_same(yard: Yard) -> None:
    box = yard.start("sleep", "100")
    later = yard.another()
    later.reconcile()
    found = later.find(box.id)
    assert (found.status, found.pid) == ("running", box.pid)


def test_b14_many_at_once_have_only_their_own(yard: Yard) -> None:
    found: dict[int, tuple[int, str]] = {}

    def live(number: int) -> None:
        found[number] = yard.sh("echo $MINE; hostname", env=(f"MINE={number}",),
                                hostname=f"h{number}")  # fmt: skip

    threads = [threading.Thread(target=live, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: (0, f"{number}\nh{number}\n") for number in range(20)}

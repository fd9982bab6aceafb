"""What config.md says of a process, each member by its effect: scheduling, ids, rights, labels."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.linux import capabilities
from dockyard.interfaces.ociruntime import StartFailed

from .conftest import Box, Yard, refused

pytestmark = pytest.mark.root


def processed(yard: Yard, *args: str, linux: dict[str, Any] | None = None, **process: Any) -> Box:
    def change(spec: dict[str, Any]) -> None:
        spec["process"].update(process)
        spec["linux"].update(linux or {})

    return yard.box(*(args or ("sleep", "60")), change=change)


def stat_field(pid: int, number: int) -> int:
    """proc(5), /proc/pid/stat; fields count from 1."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[number - 3])


@pytest.mark.parametrize(
    ("scheduler", "policy", "nice"),
    [
        ({"policy": "SCHED_BATCH", "nice": 7}, os.SCHED_BATCH, 7),
        ({"policy": "SCHED_OTHER", "nice": 3}, os.SCHED_OTHER, 3),
        ({"policy": "SCHED_IDLE"}, os.SCHED_IDLE, 0),
        (
            {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
            os.SCHED_OTHER | os.SCHED_RESET_ON_FORK,
            0,
        ),
    ],
)
def test_scheduler(yard: Yard, scheduler: dict[str, Any], policy: int, nice: int) -> None:
    box = processed(yard, scheduler=scheduler).start()
    assert os.sched_getscheduler(box.pid) == policy
    assert stat_field(box.pid, 19) == nice


@pytest.mark.parametrize("policy", ["SCHED_FIFO", "SCHED_RR"])
def test_a_real_time_scheduler(yard: Yard, policy: str) -> None:
    """cgroup v1 without a real-time share refuses it (sched-rt-group.rst): then that is said."""
    box = processed(yard, scheduler={"policy": policy, "priority": 5})
    try:
        box.start()
    except Exception as error:
        assert "process.scheduler" in str(error)
        assert box.groups() == []
    else:
        assert os.sched_getscheduler(box.pid) == getattr(os, policy)
        assert os.sched_getparam(box.pid).sched_priority == 5


def test_a_scheduler_with_a_deadline(yard: Yard) -> None:
    """Nanoseconds, as chrt(1) shows them; where no time of that kind is left, that is said."""
    scheduler = {"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 50_000_000,
                 "period": 100_000_000}  # fmt: skip
    box = processed(yard, scheduler=scheduler)
    try:
        box.start()
    except StartFailed as error:
        assert "process.scheduler" in str(error)
        assert box.groups() == []
    else:
        done = subprocess.run(["chrt", "-p", str(box.pid)], capture_output=True, text=True)
        assert "SCHED_DEADLINE" in done.stdout
        assert "1000000/50000000/100000000" in done.stdout


@pytest.mark.parametrize(
    ("scheduler", "text"),
    [
        ({"policy": "SCHED_NICE"}, "scheduler.policy"),
        ({}, "scheduler.policy: missing"),
        ({"policy": "SCHED_OTHER", "nice": 20}, "nice"),
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}, "scheduler.flags"),
        ({"policy": "SCHED_OTHER", "runtime": -1}, "runtime"),
        ({"policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 4, "period": 3}, "scheduler"),
        ({"policy": "SCHED_OTHER", "priority": 4}, "process.scheduler"),
    ],
    ids=range(7),
)
def test_a_scheduler_that_is_none(yard: Yard, scheduler: dict[str, Any], text: str) -> None:
    assert text in str(refused(processed(yard, scheduler=scheduler or {"nice": 1})))


@pytest.mark.parametrize(
    ("name", "number", "level"), [("IOPRIO_CLASS_BE", 2, 6), ("IOPRIO_CLASS_IDLE", 3, 0)]
)
def test_io_priority(yard: Yard, name: str, number: int, level: int) -> None:
    from dockyard.base.linux.door import call

    box = processed(yard, ioPriority={"class": name, "priority": level}).start()
    assert call("ioprio_get", 1, box.pid) == number << 13 | level


@pytest.mark.parametrize("value", [{"class": "X", "priority": 1}, {"class": "IOPRIO_CLASS_BE",
                                   "priority": 8}])  # fmt: skip
def test_an_io_priority_that_is_none(yard: Yard, value: dict[str, Any]) -> None:
    assert "process.ioPriority" in str(refused(processed(yard, ioPriority=value)))


def test_the_processors_of_a_command(yard: Yard) -> None:
    """config.md, execCPUAffinity: of commands, not of the container's own program."""
    box = processed(yard, execCPUAffinity={"initial": "0", "final": "0"}).start()
    assert os.sched_getaffinity(box.pid) == os.sched_getaffinity(0)
    line = box.exec("grep", "Cpus_allowed_list", "/proc/self/status",
                    execCPUAffinity={"initial": "0", "final": "0"}).out  # fmt: skip
    assert line.split()[1] == "0"
    with pytest.raises(Exception, match="execCPUAffinity"):
        box.exec("true", execCPUAffinity={"final": "0-"})


def test_personality(yard: Yard) -> None:
    box = processed(yard, "uname", "-m", linux={"personality": {"domain": "LINUX32"}})
    assert box.run().out.strip() in ("i686", "armv8l")
    plain = processed(yard, "uname", "-m", linux={"personality": {"domain": "LINUX"}})
    assert plain.run().out.strip() == os.uname().machine


@pytest.mark.parametrize("value", [{"domain": "SVR4"}, {}, {"domain": "LINUX", "flags": ["X"]}])
def test_a_personality_that_is_none(yard: Yard, value: dict[str, Any]) -> None:
    box = processed(yard, linux={"personality": value or {"flags": ["X"]}})
    assert "linux.personality" in str(refused(box))


def test_memory_policy(yard: Yard) -> None:
    policy = {"mode": "MPOL_BIND", "nodes": "0"}
    box = processed(yard, linux={"memoryPolicy": policy}).start()
    assert "bind:0" in Path(f"/proc/{box.pid}/numa_maps").read_text()


@pytest.mark.parametrize(
    ("flag", "shown"),
    [("MPOL_F_STATIC_NODES", "bind=static:0"), ("MPOL_F_RELATIVE_NODES", "bind=relative:0")],
)
def test_flags_of_a_memory_policy(yard: Yard, flag: str, shown: str) -> None:
    """As the kernel shows them: proc(5), numa_maps."""
    policy = {"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}
    box = processed(yard, linux={"memoryPolicy": policy}).start()
    assert shown in Path(f"/proc/{box.pid}/numa_maps").read_text()


@pytest.mark.parametrize(
    "policy", [{"mode": "MPOL_X"}, {"mode": "MPOL_BIND"}, {"mode": "MPOL_BIND", "nodes": "a"},
               {"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}],
    ids=range(4),
)  # fmt: skip
def test_a_memory_policy_that_is_none(yard: Yard, policy: dict[str, Any]) -> None:
    assert "linux.memoryPolicy" in str(refused(processed(yard, linux={"memoryPolicy": policy})))


RLIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]


@pytest.mark.parametrize("name", RLIMITS)
def test_rlimits(yard: Yard, name: str) -> None:
    number = getattr(resource, name)
    soft, hard = resource.getrlimit(number)
    wanted = 1 << 40 if hard == resource.RLIM_INFINITY else hard
    if name in ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MSGQUEUE", "RLIMIT_SIGPENDING"):
        wanted = min(1000, wanted)
    limit = {"type": name, "soft": max(wanted - 1, 0), "hard": wanted}
    box = processed(yard, rlimits=[limit]).start()
    assert resource.prlimit(box.pid, number) == (limit["soft"], limit["hard"])
    assert (soft, hard) == resource.getrlimit(number)


def test_an_unlimited_rlimit(yard: Yard) -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY:
        limit = {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1}
        box = processed(yard, rlimits=[limit]).start()
        assert resource.prlimit(box.pid, resource.RLIMIT_CORE)[0] == resource.RLIM_INFINITY


def test_umask(yard: Yard) -> None:
    user = {"uid": 0, "gid": 0, "umask": 0o027}
    assert processed(yard, "sh", "-c", "umask", user=user).run().out == "0027\n"


def test_five_capability_sets(yard: Yard) -> None:
    names = {"bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID"], "permitted": ["CAP_KILL",
             "CAP_CHOWN"], "effective": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"],
             "ambient": ["CAP_CHOWN"]}  # fmt: skip
    user = {"uid": 1000, "gid": 1000}
    box = processed(yard, capabilities=names, user=user)
    box.start()
    found = dict(
        line.split(":\t") for line in Path(f"/proc/{box.pid}/status").read_text().splitlines()
        if line.startswith("Cap")
    )  # fmt: skip
    # capabilities(7): without root, what is executed keeps the ambient set
    assert {name: int(text, 16) for name, text in found.items()} == {
        "CapInh": 1 << 0, "CapPrm": 1 << 0, "CapEff": 1 << 0, "CapBnd": 1 << 5 | 1 << 0 | 1 << 7,
        "CapAmb": 1 << 0,
    }  # fmt: skip


def test_capabilities_that_cannot_be_granted_are_left_out(yard: Yard) -> None:
    """config.md: a runtime should not fail. Unknown names are errors all the same."""
    lacking = [n for n in capabilities.NUMBERS if not capabilities.permitted()
               >> capabilities.NUMBERS[n] & 1]  # fmt: skip
    sets = {kind: ["CAP_KILL", *lacking] for kind in ("bounding", "permitted", "effective")}
    box = processed(yard, "grep", "CapPrm", "/proc/self/status", capabilities=sets)
    assert int(box.run().out.split()[1], 16) == 1 << capabilities.NUMBERS["CAP_KILL"]
    wrong = processed(yard, capabilities={"bounding": ["CAP_NONSENSE"]})
    assert "CAP_NONSENSE" in str(refused(wrong))


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("selinuxLabel", "system_u:system_r:svirt_lxc_net_t:s0", "SELinux is not enabled"),
        ("apparmorProfile", "acme_secure_profile", "AppArmor is not enabled"),
    ],
)
def test_labels_of_a_kernel_that_has_none(yard: Yard, member: str, value: str, text: str) -> None:
    if Path("/sys/fs/selinux/enforce").exists() or Path("/sys/module/apparmor").exists():
        return  # then it is applied: there is no such kernel among those that tests run on
    box = processed(yard, **{member: value})
    error = str(refused(box))
    assert f"process.{member}" in error
    assert text in error
    assert box.groups() == []
    other = yard.box("sleep", "60").start()
    with pytest.raises(Exception, match=text):
        other.exec("true", **{member: value})


def test_other_things_that_this_kernel_has_not(yard: Yard) -> None:
    label = processed(yard, linux={"mountLabel": "system_u:object_r:svirt_t:s0"})
    assert "linux.mountLabel" in str(refused(label))
    resctrl = processed(yard, linux={"intelRdt": {"closID": "x", "schemata": ["L3:0=f"]}})
    assert "no resctrl is mounted" in str(refused(resctrl))
    assert (label.groups(), resctrl.groups()) == ([], [])


def test_no_profile_is_no_label(yard: Yard) -> None:
    assert processed(yard, "true", apparmorProfile="unconfined").run().code == 0


@pytest.mark.parametrize("rdt", [{"closID": "../x"}, {"closID": ".."}, {"closID": "a/b"},
                         {"memBwSchema": "L3:x"}, {"l3CacheSchema": "MB:x"},
                         {"schemata": ["a\nb"]}, {"enableMonitoring": "yes"}])  # fmt: skip
def test_a13_resctrl_names_that_climb(yard: Yard, rdt: dict[str, Any]) -> None:
    assert "linux.intelRdt" in str(refused(processed(yard, linux={"intelRdt": rdt})))


def test_annotations_have_no_effect_of_their_own(yard: Yard) -> None:
    box = yard.sh("echo x", change=lambda spec: spec.update(annotations={"run.oci/x": "y"}))
    assert box.run().out == "x\n"
    wrong = yard.sh("true", change=lambda spec: spec.update(annotations={"k": 5}))
    assert "annotations" in str(refused(wrong))


@pytest.mark.parametrize("platform", ["windows", "vm", "solaris", "zos", "freebsd"])
def test_other_platforms_are_refused_by_name(yard: Yard, platform: str) -> None:
    box = yard.sh("true", change=lambda spec: spec.update({platform: {}}))
    assert f"config: {platform}" in str(refused(box))


def test_members_of_later_versions_are_refused_by_name(yard: Yard) -> None:
    box = processed(yard, linux={"netDevices": {"eth0": {}}})
    assert "linux.netDevices" in str(refused(box))
    assert "commandLine" in str(refused(processed(yard, commandLine="x")))


# linux/seccomp.h: struct seccomp_notif and its answer
NOTIFICATION, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
RECEIVE, SEND = 0xC0502100, 0xC0182101


class Agent:
    """Takes listeners on a socket, and answers every call with an error number."""

    def __init__(self, path: Path, number: int) -> None:
        self.states: list[dict[str, Any]] = []
        self._number = number
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                data, descriptors, _, _ = socket.recv_fds(peer, 65536, 4)
                while more := peer.recv(65536):
                    data += more
            self.states.append({**json.loads(data), "descriptors": len(descriptors)})
            threading.Thread(target=self._answer, args=descriptors, daemon=True).start()

    def _answer(self, listener: int) -> None:
        while True:
            asked = bytearray(NOTIFICATION.size)
            try:
                fcntl.ioctl(listener, RECEIVE, asked)
            except OSError:
                break
            reply = ANSWER.pack(NOTIFICATION.unpack(asked)[0], 0, -self._number, 0)
            fcntl.ioctl(listener, SEND, bytearray(reply))
        os.close(listener)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    found = Agent(tmp_path / "agent.sock", errno.EMEDIUMTYPE)
    yield found
    found.close()


def asking(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(tmp_path / "agent.sock"),
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }


@pytest.mark.parametrize("nnp", [False, True])
def test_a_seccomp_agent_is_asked(yard: Yard, tmp_path: Path, agent: Agent, nnp: bool) -> None:
    """config-linux.md, "The Container Process State"."""
    profile = asking(tmp_path, listenerMetadata="some=thing")
    box = processed(yard, linux={"seccomp": profile}, noNewPrivileges=nnp)
    box.launch.spec["annotations"] = {"k": "v"}  # type: ignore[index]
    box.start()
    result = box.exec("mkdir", "/tmp/x")
    assert "Wrong medium type" in result.err
    first, second = agent.states
    assert first["fds"] == ["seccompFd"]
    assert first["descriptors"] == 1
    assert first["metadata"] == "some=thing"
    assert (first["pid"], first["state"]["pid"]) == (box.pid, box.pid)
    assert first["state"]["id"] == box.launch.id
    assert first["state"]["annotations"] == {"k": "v"}
    assert first["ociVersion"] == box.launch.spec["ociVersion"]
    assert second["pid"] not in (0, box.pid)


def test_a15_without_the_agent_nothing_starts(yard: Yard, tmp_path: Path) -> None:
    box = processed(yard, linux={"seccomp": asking(tmp_path)})
    box.create()
    with pytest.raises(Exception, match="listenerPath"):
        box.runtime.start(box.run_dir)
    box.wait()
    assert box.groups() == []


def test_an_agent_whom_nobody_asks_is_not_needed(yard: Yard, tmp_path: Path) -> None:
    profile = asking(tmp_path, syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_LOG"}])
    assert processed(yard, "true", linux={"seccomp": profile}).run().code == 0

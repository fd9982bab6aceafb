"""Namespaces of every kind, new and joined; ids and clocks of a container's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.namespaces import PRIVATE, holding

from .conftest import Box, Yard, refused

pytestmark = pytest.mark.root

FIRST, COUNT = 200_000, 65_536
Change = Callable[[dict[str, Any]], None]


def owned(spec: dict[str, Any]) -> None:
    """A user namespace whose root is nobody on the host."""
    spec["linux"]["namespaces"].append({"type": "user"})
    ids = [{"containerID": 0, "hostID": FIRST, "size": COUNT}]
    spec["linux"].update(uidMappings=ids, gidMappings=ids)


def both(*changes: Change) -> Change:
    def change(spec: dict[str, Any]) -> None:
        for one in changes:
            one(spec)

    return change


def test_ids_of_its_own(yard: Yard) -> None:
    text = "id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /made; stat -c %u /bin/busybox"
    box = yard.sh(f"{text}; sleep 60", change=owned).start()
    result = box.exec("sh", "-c", text)
    row = f"         0     {FIRST}      {COUNT}\n"
    assert result.out == f"0\n{row}{row}0\n"
    assert Path(f"/proc/{box.pid}").stat().st_uid == FIRST
    # on disk files have the container's ids: layers are shown shifted, not copied
    assert (box.upper / "made").stat().st_uid == 0


def test_root_there_is_nobody_here(yard: Yard) -> None:
    everything = "CAP_SYS_ADMIN CAP_SYS_TIME CAP_SYS_MODULE CAP_MKNOD CAP_SYS_RESOURCE".split()

    def privileged(spec: dict[str, Any]) -> None:
        for kind in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][kind] = everything
        del spec["linux"]["seccomp"]

    box = yard.sh("sleep 60", change=both(owned, privileged)).start()
    assert "CapEff" in box.exec("grep", "CapEff", "/proc/self/status").out
    for command in (
        ["hostname", "changed"],  # its own: allowed
        ["mknod", "/tmp/kmsg", "c", "1", "11"],
        ["date", "-s", "2020-01-01"],
    ):
        done = box.exec(*command)
        refusal = "not permitted" in done.err or "ermission denied" in done.err
        assert refusal == (command[0] != "hostname"), done


def test_every_kind_is_new_and_belongs_to_the_user_namespace(yard: Yard) -> None:
    box = yard.sh("sleep 60", change=owned).start()
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        theirs = Path(f"/proc/{box.pid}/ns/{kind}")
        assert str(theirs.readlink()) != str(Path(f"/proc/self/ns/{kind}").readlink()), kind
    assert box.exec("ps", "-o", "pid").out.split()[:2] == ["PID", "1"]
    assert "/dev/null" in box.exec("sh", "-c", "ls /dev/*; echo x > /dev/null").out
    assert box.exec("head", "-c", "4", "/dev/zero").out == "\0\0\0\0"


def test_commands_join_all_of_them(yard: Yard) -> None:
    box = yard.sh("sleep 60", change=owned).start()
    kinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]
    text = f"for kind in {' '.join(kinds)}; do readlink /proc/self/ns/$kind; done"
    found = box.exec("sh", "-c", text).out.split()
    assert found == [str(Path(f"/proc/{box.pid}/ns/{kind}").readlink()) for kind in kinds]
    assert box.exec("cat", stdin=b"in").out == "in"


def test_terminals_belong_to_its_users(yard: Yard) -> None:

    def change(spec: dict[str, Any]) -> None:
        owned(spec)
        spec["process"]["terminal"] = True

    box = yard.sh("tty; stat -c %u $(tty); sleep 60", change=change).start()
    for uid in (0, 1000):
        user = {"uid": uid, "gid": 0}
        out = box.exec("sh", "-c", "tty; stat -c %u $(tty)", terminal=True, user=user).out
        number, owner = out.split()
        assert number.startswith("/dev/pts/")
        assert owner == str(uid)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"uidMappings": []}, "uidMappings: missing"),
        ({"gidMappings": []}, "gidMappings: missing"),
        ({"uidMappings": [{"containerID": 1, "hostID": 5, "size": 9}]}, "id 0 of the container"),
        ({"uidMappings": [{"containerID": 0, "hostID": 5, "size": 0}]}, "size"),
        ({"uidMappings": [{"containerID": 0, "hostID": -1, "size": 1}]}, "hostID"),
        ({"uidMappings": [{"containerID": 0, "hostID": 2**32 - 2, "size": 5}]}, "32 bits"),
        ({"uidMappings": [{"containerID": 0, "hostID": 5, "size": 2**32}]}, "size"),
        ({"uidMappings": [{"containerID": 0, "hostID": 5}]}, "size: missing"),
        (
            {
                "uidMappings": [
                    {"containerID": 0, "hostID": 5, "size": 9},
                    {"containerID": 8, "hostID": 500, "size": 9},
                ]
            },
            "overlap at containerID 8",
        ),
        (
            {
                "uidMappings": [
                    {"containerID": 0, "hostID": 5, "size": 9},
                    {"containerID": 100, "hostID": 10, "size": 9},
                ]
            },
            "overlap at hostID 10",
        ),
        ({"uidMappings": [{"containerID": 0, "hostID": 5, "size": 1}] * 341}, "at most 340"),
    ],
)
def test_a16_maps_that_are_none(yard: Yard, change: dict[str, Any], text: str) -> None:
    box = yard.sh("true", change=both(owned, lambda spec: spec["linux"].update(change)))
    assert text in str(refused(box))
    assert box.groups() == []


def test_a16_mappings_without_a_namespace(yard: Yard) -> None:
    ids = [{"containerID": 0, "hostID": FIRST, "size": COUNT}]
    box = yard.sh("true", change=lambda spec: spec["linux"].update(uidMappings=ids))
    assert "without a user namespace" in str(refused(box))


def test_a16_a_user_whom_nobody_maps(yard: Yard) -> None:

    def change(spec: dict[str, Any]) -> None:
        spec["process"]["user"] = {"uid": COUNT + 1, "gid": 0}

    error = refused(yard.sh("true", change=both(owned, change)))
    assert "setresuid" in str(error) or "Invalid argument" in str(error)


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup", "user"])
def test_a_namespace_that_is_not_there(yard: Yard, kind: str) -> None:
    def change(spec: dict[str, Any]) -> None:
        kinds = spec["linux"]["namespaces"]
        kinds[:] = [found for found in kinds if found["type"] != kind]
        kinds.append({"type": kind, "path": "/proc/self/ns/nosuch"})

    box = yard.sh("true", change=change)
    assert "/proc/self/ns/nosuch" in str(refused(box))
    assert box.groups() == []


@pytest.mark.parametrize("kind", ["network", "ipc", "uts"])
def test_a_path_that_is_another_kinds_namespace(yard: Yard, kind: str) -> None:
    def change(spec: dict[str, Any]) -> None:
        for found in spec["linux"]["namespaces"]:
            if found["type"] == kind:
                found["path"] = "/proc/self/ns/mnt"

    assert "setns" in str(refused(yard.sh("true", change=change)))


def test_joined_by_path(yard: Yard) -> None:
    first = yard.box("sleep", "60").start()
    names = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid", "cgroup": "cgroup"}

    def change(spec: dict[str, Any]) -> None:
        for found in spec["linux"]["namespaces"]:
            if found["type"] in names:
                found["path"] = f"/proc/{first.pid}/ns/{names[found['type']]}"

    second = yard.box("sleep", "60", change=change).start()
    for name in names.values():
        links = {str(Path(f"/proc/{box.pid}/ns/{name}").readlink()) for box in (first, second)}
        assert len(links) == 1, name


def test_a_pod_with_ids_of_its_own(yard: Yard) -> None:
    """The sandbox makes the user namespace, and the others that belong to it; members join."""
    sandbox = yard.box("sleep", "60", change=owned).start()
    names = {"network": "net", "ipc": "ipc", "uts": "uts", "user": "user"}

    def member(spec: dict[str, Any]) -> None:
        owned(spec)
        for found in spec["linux"]["namespaces"]:
            if found["type"] in names:
                found["path"] = f"/proc/{sandbox.pid}/ns/{names[found['type']]}"

    box = yard.sh("sleep 60", change=member).start()
    for name in names.values():
        links = {str(Path(f"/proc/{one.pid}/ns/{name}").readlink()) for one in (sandbox, box)}
        assert len(links) == 1, name
    assert box.exec("id", "-u").out == "0\n"
    assert Path(f"/proc/{box.pid}").stat().st_uid == FIRST


def test_a_network_of_the_hosts_making_is_joined_with_the_hosts_rights(yard: Yard) -> None:
    """As podman does: the network namespace is not the user namespace's."""
    maker = yard.box("sleep", "60").start()

    def change(spec: dict[str, Any]) -> None:
        owned(spec)
        for found in spec["linux"]["namespaces"]:
            if found["type"] == "network":
                found["path"] = f"/proc/{maker.pid}/ns/net"
        # sysfs shows a network namespace, so it takes its owner to mount it (sysfs(5))
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/sys")]

    box = yard.sh("readlink /proc/self/ns/net", change=change)
    assert box.run().out.strip() == str(Path(f"/proc/{maker.pid}/ns/net").readlink())


def timed(**offsets: dict[str, int]) -> Change:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["namespaces"].append({"type": "time"})
        spec["linux"]["timeOffsets"] = offsets

    return change


def uptime(box: Box) -> float:
    return float(box.exec("cat", "/proc/uptime").out.split()[0])


@pytest.mark.parametrize("user", [False, True])
def test_clocks_of_its_own(yard: Yard, user: bool) -> None:
    change = timed(boottime={"secs": 1_000_000}, monotonic={"secs": 500, "nanosecs": 7})
    box = yard.sh("sleep 60", change=both(owned, change) if user else change).start()
    host = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(uptime(box) - host - 1_000_000) < 60
    offsets = box.exec("cat", "/proc/self/timens_offsets").out.split()
    assert offsets == ["monotonic", "500", "7", "boottime", "1000000", "0"]


@pytest.mark.parametrize(
    ("offsets", "text"),
    [
        ({"realtime": {"secs": 1}}, "one of monotonic, boottime"),
        ({"boottime": {"secs": "1"}}, "secs"),
        ({"boottime": {"nanosecs": 10**9}}, "nanosecs"),
        ({"boottime": {"secs": -(2**62)}}, "timeOffsets"),
    ],
)
def test_clocks_that_are_none(yard: Yard, offsets: dict[str, Any], text: str) -> None:
    assert text in str(refused(yard.sh("true", change=timed(**offsets))))


def test_clocks_without_a_namespace(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}

    assert "without a new time namespace" in str(refused(yard.sh("true", change=change)))


def test_the_hosts_name_is_not_changed(yard: Yard) -> None:
    def shared(spec: dict[str, Any]) -> None:
        kinds = spec["linux"]["namespaces"]
        kinds[:] = [found for found in kinds if found["type"] != "uts"]
        spec["hostname"] = "taken"

    before = os.uname().nodename
    assert "without a uts namespace" in str(refused(yard.sh("true", change=shared)))
    assert os.uname().nodename == before


def test_names(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec.update(hostname="h1", domainname="d.example")

    box = yard.sh("hostname; cat /proc/sys/kernel/domainname", change=change)
    assert box.run().out == "h1\nd.example\n"


def test_what_is_left_out_is_the_hosts(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["namespaces"] = [{"type": "mount"}]
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] not in
                          ("/sys/fs/cgroup", "/dev/mqueue")]  # fmt: skip

    box = yard.box("sleep", "60", change=change).start()
    for kind in ("pid", "net", "ipc", "uts", "cgroup", "user"):
        found = box.exec("readlink", f"/proc/self/ns/{kind}").out.strip()
        assert found == str(Path(f"/proc/self/ns/{kind}").readlink()), kind
    assert subprocess.run(["kill", "-0", str(box.pid)]).returncode == 0


def test_a_mount_namespace_that_is_anothers(yard: Yard) -> None:
    """Its root, made of layers too, is made in there; nothing of the host's shows it."""
    before = Path("/proc/self/mountinfo").read_text()
    with holding(*PRIVATE) as pid:

        def change(spec: dict[str, Any]) -> None:
            spec["linux"]["namespaces"][0] = {"type": "mount", "path": f"/proc/{pid}/ns/mnt"}

        box = yard.sh("echo written > /made; test ! -e /usr && exec sleep 60", change=change)
        box.start()
        assert Path(f"/proc/{box.pid}/ns/mnt").readlink() == Path(f"/proc/{pid}/ns/mnt").readlink()
        assert box.exec("cat", "/made").out == "written\n"
        moved_along = Path(f"/proc/{pid}/root")
        assert (moved_along / "made").read_text() == "written\n"
        assert Path("/proc/self/mountinfo").read_text() == before


def test_a_mount_namespace_without_the_root(yard: Yard) -> None:
    first = yard.box("sleep", "60").start()
    seen = Path(f"/proc/{first.pid}/mountinfo").read_text()

    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["namespaces"][0] = {"type": "mount", "path": f"/proc/{first.pid}/ns/mnt"}

    box = yard.sh("true", change=change)
    assert "No such file or directory" in str(refused(box))
    assert box.groups() == []
    assert Path(f"/proc/{first.pid}/mountinfo").read_text() == seen


def test_a06_what_is_mounted_over_proc_does_not_catch_what_is_written(yard: Yard) -> None:
    """Another's files lie where the runtime writes a sysctl."""
    trap = yard.folder / "trap"
    trap.write_text("trap\n")
    script = f"mount --bind {trap} /proc/sys/net/ipv4/ip_default_ttl"
    with holding(*PRIVATE, script=f"{script} && mount -t tmpfs x /proc/sys/net/ipv6") as pid:

        def change(spec: dict[str, Any]) -> None:
            spec["linux"]["namespaces"][0] = {"type": "mount", "path": f"/proc/{pid}/ns/mnt"}
            spec["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "77"}

        second = yard.sh("exec sleep 60", change=change).start()
        seen = subprocess.run(
            ["nsenter", "-t", str(second.pid), "-n", "cat", "/proc/sys/net/ipv4/ip_default_ttl"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert seen.stdout == "77\n", seen.stderr
        assert trap.read_text() == "trap\n"

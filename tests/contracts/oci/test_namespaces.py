"""linux.namespaces, uidMappings, timeOffsets, hostname: config-linux.md, "Namespaces"."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.namespaces import PRIVATE, holding
from helpers.ociruntime import Oci, mount

pytestmark = pytest.mark.root

KINDS = {"network": "net", "pid": "pid", "mount": "mnt", "ipc": "ipc", "uts": "uts",
         "cgroup": "cgroup"}  # fmt: skip


def links(oci: Oci) -> dict[str, str]:
    """The namespaces that a container's process is in, as it sees them itself."""
    names = " ".join(KINDS.values())
    script = f"for name in {names}; do readlink /proc/self/ns/$name; done"
    return dict(zip(KINDS, oci.out("sh", "-c", script).split(), strict=True))


def own() -> dict[str, str]:
    return {kind: str(Path(f"/proc/self/ns/{name}").readlink()) for kind, name in KINDS.items()}


def test_new_ones(oci: Oci) -> None:
    mine, theirs = own(), links(oci)
    assert {kind for kind in KINDS if mine[kind] == theirs[kind]} == set()


@pytest.mark.parametrize("kind", ["network", "pid", "ipc", "uts", "cgroup"])
def test_one_that_is_not_listed_is_the_callers(oci: Oci, kind: str) -> None:
    oci.without(kind)
    if kind == "uts":
        del oci.spec["hostname"]
    if kind == "network":  # sysfs belongs to the network namespace; runc's bundles bind it then
        oci.spec["mounts"] = [
            mount("/sys", "bind", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")
            if entry["destination"] == "/sys" else entry for entry in oci.spec["mounts"]
            if entry["destination"] != "/sys/fs/cgroup"
        ]  # fmt: skip
    mine, theirs = own(), links(oci)
    assert {name for name in KINDS if mine[name] == theirs[name]} == {kind}


def tree_mounts(oci: Oci) -> list[str]:
    """What lies on the container's root and below, among this machine's mounts."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(str(oci.tree))]


@pytest.fixture
def unwalled(oci: Oci, tmp_path: Path) -> Iterator[Oci]:
    """Without a mount namespace; runc masks nothing then, and leaves what it has mounted."""
    oci.without("mount")
    oci.tree = rootfs.make(tmp_path / "bare")
    oci.spec["root"] = {"path": str(oci.tree)}
    del oci.linux["maskedPaths"], oci.linux["readonlyPaths"]
    try:
        yield oci
    finally:
        oci.close()
        if oci.kind != "dockyard-oci":
            for place in reversed(tree_mounts(oci)):
                subprocess.run(["umount", "-l", place], check=True)
    assert tree_mounts(oci) == []


def test_no_mount_namespace(unwalled: Oci) -> None:
    """Its root is the tree, by chroot(2), with all that is to be mounted in it."""
    script = "pwd; ls -d /bin /usr 2>/dev/null; cut -d' ' -f5 /proc/self/mountinfo"
    lines = unwalled.out("sh", "-c", script).split()
    assert lines[:2] == ["/", "/bin"]
    assert {"/proc", "/dev", "/dev/pts", "/sys", "/tmp"} <= set(lines[2:])
    if unwalled.kind != "crun":  # it is in a namespace that the helper has made for it
        mine = str(Path("/proc/self/ns/mnt").readlink())
        assert unwalled.out("readlink", "/proc/self/ns/mnt") == f"{mine}\n"


def test_a_command_where_there_is_no_mount_namespace(ours: Oci, tmp_path: Path) -> None:
    """The specification has no `exec`. runc 1.1 and crun 1.8 execute it in the caller's root, out
    of the container; ours is where the container's program is."""
    ours.without("mount")
    ours.spec["root"] = {"path": str(rootfs.make(tmp_path / "bare"))}
    ours.up()
    script = "pwd; test -d /bin && test ! -d /usr && echo the tree"
    assert ours.exec("--", "sh", "-c", script).stdout == "/\nthe tree\n"


def test_without_a_mount_namespace_hooks_run(unwalled: Oci, tmp_path: Path) -> None:
    """As runc's host-mntns test has them."""
    said = tmp_path / "said"
    for name in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo {name} >> {said}"]}
        unwalled.spec.setdefault("hooks", {})[name] = [hook]
    unwalled.run("true")
    assert set(said.read_text().split()) == set(unwalled.spec["hooks"])


def test_what_was_mounted_on_the_root_before_stays(ours: Oci, tmp_path: Path) -> None:
    """containerd mounts a bundle's root itself; ours goes with the container, and only that."""
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "--bind", str(ours.tree), str(root)], check=True)
    try:
        ours.without("mount")
        ours.spec["root"] = {"path": str(root), "readonly": True}
        ours.tree = root
        assert ours.out("cat", "/proc/keys") == ""  # masked, in the tree
        assert ours.refused("sh", "-c", "x", cwd="/no/such/folder")
        ours.up(cwd="/")
        assert len(tree_mounts(ours)) > 5
        ours("delete", "--force", ours.id)
        assert tree_mounts(ours) == [str(root)]
        assert Path("/proc/keys").read_text()
    finally:
        ours.close()
        subprocess.run(["umount", str(root)], check=True)


def test_what_needs_a_mount_namespace(ours: Oci) -> None:
    ours.without("mount")
    ours.map_users()
    assert "user without mount" in ours.refused("true")
    ours.without("user")
    del ours.linux["uidMappings"], ours.linux["gidMappings"]
    ours.spec["root"] = {"path": "/"}
    before = Path("/proc/self/mounts").read_text()
    assert "the host's own root" in ours.refused("true")
    assert Path("/proc/self/mounts").read_text() == before


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_one_that_is_joined(oci: Oci, kind: str) -> None:
    flag = {"network": "-n", "ipc": "-i", "uts": "-u", "pid": "-pf"}[kind]
    script = "echo ready; exec sleep 100"
    with subprocess.Popen(["unshare", flag, "sh", "-c", script], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        pid = other.pid
        if kind == "pid":
            [pid] = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        try:
            path = f"/proc/{pid}/ns/{KINDS[kind]}"
            oci.namespace(kind, path)
            if kind == "uts":
                del oci.spec["hostname"]
            assert links(oci)[kind] == str(Path(path).readlink())
        finally:
            os.kill(pid, 9)
            other.wait()


def mounted_on(pid: int) -> dict[str, str]:
    """Mount point -> options, as the process sees them."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return {line.split()[4]: line.split()[5] for line in lines}


def test_a_mount_namespace_that_is_joined(oci: Oci, tmp_path: Path) -> None:
    """Sources and the root are looked up in there, the root is made in there, and whoever lives
    there is in it then; elsewhere nothing is mounted."""
    source = tmp_path / "source"
    source.mkdir()
    before = Path("/proc/self/mountinfo").read_text()
    with holding(*PRIVATE, script=f"mount -t tmpfs x {source} && echo in > {source}/f") as pid:
        oci.namespace("mount", f"/proc/{pid}/ns/mnt")
        oci.spec["mounts"].append(mount("/given", "bind", str(source), "rbind", "ro"))
        script = "cat /given/f; touch /x; cat /proc/keys; echo y > /proc/sys/kernel/hostname; "
        found = oci.run("sh", "-c", script + "readlink /proc/self/ns/mnt; ls /", check=False)
        theirs = str(Path(f"/proc/{pid}/ns/mnt").readlink())
        names = sorted(place.name for place in oci.tree.iterdir())
        assert found.stdout.split() == ["in", theirs, *names]
        assert found.stderr.count("Read-only file system") == 2
        assert sorted(place.name for place in Path(f"/proc/{pid}/root").iterdir()) == names
        seen = mounted_on(pid)
        assert {"/", "/proc", "/dev", "/dev/pts", "/sys", "/given", "/proc/keys"} <= seen.keys()
        assert "ro" in seen["/"].split(",")
        assert not any(str(oci.tree) in place for place in seen)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_command_in_a_mount_namespace_that_is_joined(oci: Oci) -> None:
    with holding(*PRIVATE) as pid:
        oci.namespace("mount", f"/proc/{pid}/ns/mnt")
        oci.up()
        found = oci.exec("--", "sh", "-c", "readlink /proc/self/ns/mnt; test ! -d /usr").stdout
        assert found.strip() == str(Path(f"/proc/{pid}/ns/mnt").readlink())


def test_a_root_that_is_not_in_the_joined_mount_namespace(oci: Oci) -> None:
    with holding(*PRIVATE, script=f"mount -t tmpfs x {oci.tree.parent}") as pid:
        seen = mounted_on(pid)
        oci.namespace("mount", f"/proc/{pid}/ns/mnt")
        assert oci.refused("true")
        assert mounted_on(pid) == seen


def test_users_and_mounts_that_are_joined(oci: Oci, public: Path) -> None:
    """Both of one holder, as podman's pods have it; runc 1.1 wants mappings of the users too."""
    if oci.kind == "runc":
        ids = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
        oci.linux.update(uidMappings=ids, gidMappings=ids)
    oci.spec["root"] = {"path": str(rootfs.make(public / "own"))}
    with holding("--user", *PRIVATE[:1]) as pid:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text("0 100000 65536\n")
        oci.namespace("user", f"/proc/{pid}/ns/user")
        oci.namespace("mount", f"/proc/{pid}/ns/mnt")
        script = "for k in mnt user; do readlink /proc/self/ns/$k; done; cat /proc/self/uid_map"
        found = oci.out("sh", "-c", script).split()
        assert found == [
            str(Path(f"/proc/{pid}/ns/mnt").readlink()),
            str(Path(f"/proc/{pid}/ns/user").readlink()), "0", "100000", "65536",
        ]  # fmt: skip


def test_the_machines_mount_namespace_is_no_containers(ours: Oci) -> None:
    """Neither peer looks: pivot_root(2) would take everybody along."""
    before = Path("/proc/self/mountinfo").read_text()
    ours.namespace("mount", "/proc/self/ns/mnt")
    assert "the mount namespace of this machine" in ours.refused("true")
    assert Path("/proc/self/mountinfo").read_text() == before


@pytest.mark.parametrize("path", ["/proc/self/ns/ipc", "/etc/hostname", "/no/such"])
def test_a_path_that_is_no_such_namespace(oci: Oci, path: str) -> None:
    oci.namespace("network", path)
    assert oci.refused("true")


@pytest.mark.parametrize("kind", ["nonsense", ""])
def test_a_kind_that_is_none(oci: Oci, kind: str) -> None:
    oci.linux["namespaces"].append({"type": kind})
    assert oci.refused("true")


def test_a_kind_that_stands_there_twice(runclike: Oci) -> None:
    runclike.linux["namespaces"].append({"type": "pid"})
    assert runclike.refused("true")


def test_the_host_name(oci: Oci) -> None:
    oci.spec["hostname"] = "named"
    assert oci.out("hostname") == "named\n"
    assert os.uname().nodename != "named"


def test_a_host_name_without_a_namespace(runclike: Oci) -> None:
    runclike.without("uts")
    before = os.uname().nodename
    assert runclike.refused("true")
    assert os.uname().nodename == before


def test_the_domain_name(ours: Oci) -> None:
    """Since version 1.1 of the specification; Debian's peers are older."""
    ours.spec["domainname"] = "example.org"
    assert ours.out("cat", "/proc/sys/kernel/domainname") == "example.org\n"


def test_ordinary_users(oci: Oci, public: Path) -> None:
    oci.map_users()
    tree = rootfs.make(public / "own")
    for place in (tree, *tree.rglob("*")):
        os.chown(place, 100_000, 100_000, follow_symlinks=False)
    oci.spec["root"] = {"path": str(tree)}
    script = "cat /proc/self/uid_map /proc/self/gid_map; id -u; touch /made; hostname"
    out = oci.out("sh", "-c", script)
    assert [line.split() for line in out.splitlines()] == [
        ["0", "100000", "65536"], ["0", "100000", "65536"], ["0"], ["box"],
    ]  # fmt: skip
    assert (tree / "made").stat().st_uid == 100_000


def test_a_command_joins_the_users_too(oci: Oci, public: Path) -> None:
    oci.map_users()
    oci.spec["root"]["path"] = str(rootfs.make(public / "own"))
    oci.up()
    assert oci.exec("--", "cat", "/proc/self/uid_map").stdout.split() == ["0", "100000", "65536"]
    assert oci.exec("--", "id", "-u").stdout == "0\n"
    done = oci.exec("--", "touch", "/made", check=False)
    assert done.returncode == 1  # the files are nobody's in there


def test_mappings_without_a_namespace(runclike: Oci) -> None:
    runclike.linux["uidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 1}]
    runclike.linux["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 1}]
    done = runclike.run("id", "-u", check=False)
    assert done.returncode != 0 or done.stdout == "0\n"


def test_a_namespace_without_mappings(runclike: Oci) -> None:
    runclike.namespace("user")
    assert runclike.refused("true")


def test_time(ours: Oci) -> None:
    """Since version 1.1.1 of the specification."""
    ours.namespace("time")
    ours.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000, "nanosecs": 5}}
    with Path("/proc/uptime").open() as file:
        host = float(file.read().split()[0])
    assert float(ours.out("cat", "/proc/uptime").split()[0]) > host + 999_000


def test_containers_share_namespaces(oci: Oci) -> None:
    oci.up()
    first, pid = oci.id, oci.pid()
    for kind in ("network", "ipc", "uts"):
        oci.namespace(kind, f"/proc/{pid}/ns/{KINDS[kind]}")
    del oci.spec["hostname"]
    oci.id = f"{first}b"
    oci.linux["cgroupsPath"] += "b"
    theirs = links(oci)
    for kind in ("network", "ipc", "uts"):
        assert theirs[kind] == str(Path(f"/proc/{pid}/ns/{KINDS[kind]}").readlink())
    oci.id = first

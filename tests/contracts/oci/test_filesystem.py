"""``root``, ``mounts``, ``linux.devices``, masked and read-only paths, propagation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.ociruntime import Oci, mount

pytestmark = pytest.mark.root


def bind(oci: Oci, source: Path, *options: str, destination: str = "/mnt") -> None:
    oci.spec["mounts"].append(mount(destination, "bind", str(source), *(options or ("rbind",))))


def options_of(text: str, point: str) -> set[str]:
    """Of /proc/self/mountinfo: proc(5)."""
    rows = [line.split() for line in text.splitlines()]
    [row] = [row for row in rows if row[4:5] == [point]]
    return set(row[5].split(","))


@pytest.mark.parametrize("readonly", [True, False])
def test_the_root(oci: Oci, tmp_path: Path, readonly: bool) -> None:
    oci.spec["root"] = {"path": str(rootfs.make(tmp_path / "own")), "readonly": readonly}
    done = oci.run("touch", "/etc/new", check=False)
    assert (done.returncode == 0) is not readonly
    assert (tmp_path / "own/etc/new").exists() is not readonly


def test_a_root_that_is_not_there(oci: Oci) -> None:
    oci.spec["root"]["path"] = str(oci.folder / "none")
    assert oci.refused("true")


def test_default_filesystems_devices_and_links(oci: Oci) -> None:
    """config-linux.md, "Default Filesystems"; runtime-linux.md, "Dev symbolic links"."""
    script = "; ".join((
        "cut -d' ' -f5,6 /proc/self/mountinfo",
        *(f"stat -c '%n %F %t:%T %a' /dev/{name}" for name in
          ("null", "zero", "full", "random", "urandom", "tty")),
        *(f"readlink /dev/{name}" for name in ("fd", "stdin", "stdout", "stderr", "ptmx")),
    ))  # fmt: skip
    out = oci.out("sh", "-c", script)
    lines = out.splitlines()
    points = {line.split()[0] for line in lines if line.startswith("/")}
    assert {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/tmp"} <= points
    for name, numbers in (("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"),
                          ("urandom", "1:9"), ("tty", "5:0")):  # fmt: skip
        assert f"/dev/{name} character special file {numbers} 666" in lines
    assert lines[-5:-1] == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1",
                            "/proc/self/fd/2"]  # fmt: skip
    assert lines[-1].endswith("pts/ptmx")


def test_the_hosts_mounts_are_not_there(oci: Oci) -> None:
    out = oci.out("cat", "/proc/self/mountinfo")
    assert str(oci.folder) not in "\n".join(line.split(" - ")[0].split()[4] for line in
                                             out.splitlines())  # fmt: skip


def test_mounts_in_their_order(oci: Oci, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    bind(oci, tmp_path / "one")
    bind(oci, tmp_path / "two")
    assert oci.out("ls", "/mnt") == "two\n"


def test_options_of_mounts(oci: Oci, tmp_path: Path) -> None:
    bind(oci, tmp_path, "rbind", "ro", "nosuid", "nodev", "noexec", destination="/var/a")
    bind(oci, tmp_path, "bind", "rw", destination="/var/b")
    oci.spec["mounts"].insert(0, mount("/var", "tmpfs", "tmpfs", "mode=0711", "size=1m"))
    oci.spec["mounts"].append(mount("/run", "tmpfs", "tmpfs", "ro", "noatime", "nodiratime"))
    out = oci.out("sh", "-c", "cat /proc/self/mountinfo; stat -c %a /var")
    assert {"ro", "nosuid", "nodev", "noexec"} <= options_of(out, "/var/a")
    assert "rw" in options_of(out, "/var/b")
    assert {"ro", "noatime"} <= options_of(out, "/run")
    if oci.kind != "runc":  # 1.1 takes the folder's mode below it, whatever is asked for
        assert out.splitlines()[-1] == "711"


def test_a_file_is_mounted_on_one_that_is_made(oci: Oci, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text\n")
    bind(oci, tmp_path / "file", "bind", "ro", destination="/tmp/deep/er/file")
    assert oci.out("cat", "/tmp/deep/er/file") == "text\n"


def test_a_source_that_is_not_there(oci: Oci, tmp_path: Path) -> None:
    bind(oci, tmp_path / "none", "bind")
    assert oci.refused("true")


def test_a_destination_in_a_link_stays_inside(oci: Oci, tmp_path: Path) -> None:
    """CVE-2021-30465 and its kin: links are resolved in the container's root."""
    tree = rootfs.make(tmp_path / "own")
    (tree / "out").symlink_to("/../../../../../tmp")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "there").write_text("")
    oci.spec["root"] = {"path": str(tree)}
    bind(oci, tmp_path / "given", "bind", destination="/out/inner")
    assert oci.out("ls", "/tmp/inner") == "there\n"
    assert not Path("/tmp/inner").exists()


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
@pytest.mark.parametrize("link", ["/run/own/deep", "../run/own/deep", "/../../run/own/deep"])
def test_a_destination_in_a_link_that_leads_to_nothing(
    runclike: Oci, tmp_path: Path, link: str, folder: bool
) -> None:
    """What is missing is made inside the root (resolv.conf of many images)."""
    tree = rootfs.make(tmp_path / "own")
    (tree / "etc/link").symlink_to(link)
    (tree / "etc/again").symlink_to("link")
    given = tmp_path / "given"
    if folder:
        given.mkdir()
    else:
        given.write_text("seen\n")
    runclike.spec["root"] = {"path": str(tree)}
    bind(runclike, given, "bind", destination="/etc/again")
    assert "/run/own/deep" in runclike.out("grep", "/own/deep", "/proc/self/mountinfo")
    assert not Path("/run/own").exists()


def test_a_destination_in_a_loop_of_links(oci: Oci, tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "own")
    (tree / "etc/one").symlink_to("two")
    (tree / "etc/two").symlink_to("one")
    oci.spec["root"] = {"path": str(tree)}
    bind(oci, tmp_path, "bind", destination="/etc/one")
    assert oci.refused("true")


@pytest.mark.parametrize(("mode", "options"), [(0o710, []), (0o1755, ["size=1m"])])
def test_a_tmpfs_has_the_mode_of_what_it_lies_on(
    runclike: Oci, tmp_path: Path, mode: int, options: list[str]
) -> None:
    tree = rootfs.make(tmp_path / "own")
    (tree / "data").mkdir()
    (tree / "data").chmod(mode)
    runclike.spec["root"] = {"path": str(tree)}
    runclike.spec["mounts"].append(mount("/data", "tmpfs", "tmpfs", *options))
    runclike.spec["mounts"].append(mount("/new", "tmpfs", "tmpfs", *options))
    assert runclike.out("stat", "-c", "%a", "/data", "/new") == f"{mode:o}\n1777\n"


def test_dev_may_be_read_only(oci: Oci) -> None:
    for each in oci.spec["mounts"]:
        if each["destination"] == "/dev":
            each["options"].append("ro")
    assert oci.out("sh", "-c", "echo x > /dev/null; touch /dev/new || echo no") == "no\n"


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_is_never_a_link(oci: Oci, tmp_path: Path, name: str) -> None:
    """CVE-2023-27561."""
    tree = rootfs.make(tmp_path / "own")
    (tree / name).rmdir()
    (tree / name).symlink_to("/bin")
    oci.spec["root"] = {"path": str(tree)}
    done = oci.run("cat", "/proc/self/status", check=False)
    if oci.kind == "crun":  # 1.8 follows it, inside the root
        return
    assert done.returncode != 0


def test_nothing_is_mounted_over_proc(runclike: Oci, tmp_path: Path) -> None:
    """CVE-2019-16884."""
    bind(runclike, tmp_path, "bind", destination="/proc")
    assert runclike.run("true", check=False).returncode != 0
    bind(runclike, tmp_path, "bind", destination="/proc/self")
    assert runclike.run("true", check=False).returncode != 0


def test_masked_paths(oci: Oci, tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "own")
    (tree / "secret").write_text("planted")
    (tree / "secrets").mkdir()
    (tree / "secrets/one").write_text("planted")
    oci.spec["root"] = {"path": str(tree)}
    oci.linux["maskedPaths"] = ["/secret", "/secrets", "/secrets", "/not/there"]
    out = oci.out("sh", "-c", "cat /secret; ls -A /secrets; touch /secrets/x; echo $?")
    assert out == "1\n"
    assert (tree / "secret").read_text() == "planted"


def test_readonly_paths(oci: Oci, tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "own")
    (tree / "kept").mkdir()
    (tree / "kept/file").write_text("text")
    oci.spec["root"] = {"path": str(tree)}
    oci.linux["readonlyPaths"] = ["/kept", "/not/there", "/etc/passwd"]
    script = "touch /kept/new; echo $?; echo x >> /etc/passwd; touch /else; echo $?; cat /kept/file"
    assert oci.out("sh", "-c", script) == "1\n0\ntext"
    assert not (tree / "kept/new").exists()


def test_devices(oci: Oci) -> None:
    oci.linux["devices"] = [
        {"path": "/dev/own", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640,
         "uid": 1000, "gid": 2000},
        {"path": "/dev/sub/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
        {"path": "/dev/queue", "type": "p", "fileMode": 0o622},
    ]  # fmt: skip
    out = oci.out("stat", "-c", "%n %F %t:%T %a %u:%g", "/dev/own", "/dev/sub/block", "/dev/queue")
    assert out.splitlines() == [
        "/dev/own character special file a:e5 640 1000:2000",
        "/dev/sub/block block special file 7:c8 600 0:0",
        "/dev/queue fifo 0:0 622 0:0",
    ]


def test_default_devices_may_stand_in_the_list(oci: Oci) -> None:
    oci.linux["devices"] = [
        {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o666},
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2, "fileMode": 0o666},
    ]
    assert oci.out("stat", "-c", "%t:%T", "/dev/tty") == "5:0\n"


@pytest.mark.parametrize(
    ("name", "wanted"), [("shared", "shared:"), ("slave", "master:"), ("private", "")]
)
def test_propagation_of_the_root(oci: Oci, tmp_path: Path, name: str, wanted: str) -> None:
    oci.linux["rootfsPropagation"] = name
    oci.spec["root"]["path"] = str(rootfs.make(tmp_path / "own"))
    [line] = [line for line in oci.out("cat", "/proc/self/mountinfo").splitlines()
              if line.split()[4] == "/"]  # fmt: skip
    tags = " ".join(line.split(" - ")[0].split()[6:])
    if wanted == "master:" and "master:" not in tags:
        # the machine's own mounts are private: there is no master to be a slave of
        parents = Path("/proc/self/mountinfo").read_text().splitlines()
        assert not any("shared:" in row.split(" - ")[0] and row.split()[4] == "/"
                       for row in parents)  # fmt: skip
        return
    if oci.kind == "runc" and name == "shared":
        return  # 1.1 leaves it private
    assert wanted in tags
    assert bool(tags) is bool(wanted)


def test_recursive_attributes(oci: Oci, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        bind(oci, tmp_path, "rbind", "ro", destination="/a")
        bind(oci, tmp_path, "rbind", "rro", destination="/b")
        oci.spec["root"]["path"] = str(rootfs.make(oci.folder / "own"))
        out = oci.out("cat", "/proc/self/mountinfo")
    finally:
        subprocess.run(["umount", "-l", inner], check=True)
    assert "ro" in options_of(out, "/a")
    assert "rw" in options_of(out, "/a/inner")
    assert "ro" in options_of(out, "/b") & options_of(out, "/b/inner")


def test_a_tmpfs_with_what_lies_below_it(oci: Oci, tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "own")
    (tree / "data/sub").mkdir(parents=True)
    (tree / "data/sub/file").write_text("copied")
    os.chown(tree / "data/sub/file", 1000, 1000)
    oci.spec["root"] = {"path": str(tree), "readonly": True}
    oci.spec["mounts"].append(mount("/data", "tmpfs", "tmpfs", "tmpcopyup"))
    out = oci.out("sh", "-c", "cat /data/sub/file; stat -c %u /data/sub/file; touch /data/new")
    assert out == "copied1000\n"
    assert not (tree / "data/new").exists()


def test_the_container_sees_its_own_control_group(oci: Oci) -> None:
    oci.linux["resources"]["pids"] = {"limit": 47}
    for own in (True, False):
        if not own:
            oci.without("cgroup")
        out = oci.out("sh", "-c", "cat /sys/fs/cgroup/pids/pids.max; ! mkdir /sys/fs/cgroup/pids/x")
        assert out == "47\n"


def test_sysctls(oci: Oci) -> None:
    oci.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}
    out = oci.out("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced")
    assert out == "1\n1\n"


@pytest.mark.parametrize("name", ["kernel.panic", "vm.swappiness", "net.none"])
def test_a_sysctl_of_the_hosts(oci: Oci, name: str) -> None:
    before = Path("/proc/sys/kernel/panic").read_text()
    oci.linux["sysctl"] = {name: "77"}
    assert oci.refused("true")
    assert Path("/proc/sys/kernel/panic").read_text() == before


def test_a_sysctl_of_a_namespace_that_is_shared(oci: Oci) -> None:
    oci.without("network")
    oci.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert oci.refused("true")

"""What a process in a container may do: rows A01 to A17 of the abuse list that concern one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.linux.capabilities import mask
from dockyard.base.oci.defaultspec import CAPABILITIES, MASKED, READONLY
from dockyard.interfaces.ociruntime import StartFailed
from helpers import rootfs
from helpers.leaks import tree_hash

from .conftest import Yard, refused

pytestmark = pytest.mark.root

# capabilities(7): bit numbers of Docker's documented default list
DEFAULT_MASK = "00000000a80425fb"
NOTHING = "0000000000000000"


def user(uid: int, gid: int = 0) -> Any:
    def change(spec: dict[str, Any]) -> None:
        spec["process"]["user"] = {"uid": uid, "gid": gid, "additionalGids": [2000]}

    return change


def test_a01_only_the_standard_streams_are_open(yard: Yard) -> None:
    box = yard.sh("echo $(ls /proc/self/fd); sleep 60")
    _, stream = box.runtime.create(box.launch, attach=True)
    box.runtime.start(box.run_dir)
    assert stream is not None
    assert stream.read() == (1, b"0 1 2 3\n")
    stream.close()
    # ls itself has one more open: the folder that it reads
    assert box.exec("ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("number", range(10))
def test_a01_a_working_folder_outside_the_root(yard: Yard, number: int) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["process"]["cwd"] = f"/proc/self/fd/{number}"

    refused(yard.sh("true", change=change))


def test_a01_the_working_folder_of_a_command(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    for number in range(3, 12):
        with pytest.raises(Exception, match="cwd"):
            box.exec("pwd", cwd=f"/proc/self/fd/{number}")
    with pytest.raises(StartFailed, match="cwd: /not/there: No such file or directory"):
        box.exec("pwd", cwd="/not/there")
    assert not (box.upper / "not").exists()


@pytest.mark.parametrize("how", ["argument", "script", "link"])
def test_a02_the_interpreter_is_out_of_reach(yard: Yard, lower: Path, how: str) -> None:
    before = hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest()
    program = {"argument": "/proc/self/exe", "script": "/tmp/evil", "link": "/tmp/link"}[how]
    box = yard.box(program, "-c", "open('/reached', 'w')")
    rootfs.script(box.upper, "tmp/evil", "#!/proc/self/exe\nopen('/reached', 'w')\n")
    (box.upper / "tmp/link").symlink_to("/proc/self/exe")
    box.start()
    assert box.wait().code != 0
    assert not (box.upper / "reached").exists()
    assert hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest() == before


def test_a02_the_file_of_init_is_not_the_hosts(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    assert Path(f"/proc/{box.pid}/exe").readlink().name == "busybox"


def test_a03_a_joining_process_cannot_be_looked_at(yard: Yard) -> None:
    watch = """
    while :; do for p in /proc/[0-9]*; do
      [ "$p" = /proc/1 ] && continue
      e=$(readlink $p/exe 2>/dev/null) && case "$e" in *python*) echo "saw $e";; esac
      for f in $p/fd/*; do readlink "$f" 2>/dev/null; done | grep -v -e pipe: -e '^/dev'
    done; done
    """
    box = yard.sh(watch).start()
    for _ in range(20):
        assert box.exec("true").code == 0
    log = Path(box.launch.log.path).read_text()  # type: ignore[union-attr]
    assert "python" not in log
    # the relay's only other descriptors: its own file and the socket that says "failed"
    seen = {json.loads(line)["log"].split("[")[0].strip() for line in log.splitlines()}
    assert seen <= {"socket:", "/memfd:dockyard (deleted)"}


def test_a03_a_stopped_joiner_does_not_stop_the_monitor(yard: Yard) -> None:
    box = yard.sh("while :; do kill -STOP -1 2>/dev/null; done").start()

    def join() -> None:
        with contextlib.suppress(StartFailed, AssertionError, OSError):
            box.exec("true")

    joiners = [threading.Thread(target=join) for _ in range(5)]
    for joiner in joiners:
        joiner.start()
    for _ in range(20):
        assert box.runtime.state(box.run_dir).status == "running"
    box.runtime.signal(box.run_dir, 9)
    assert box.wait().code == 137
    for joiner in joiners:
        joiner.join(10)
        assert not joiner.is_alive()


@pytest.mark.parametrize("path", ["proc", "sys"])
def test_a05_a_link_where_proc_belongs(yard: Yard, path: str) -> None:
    box = yard.sh("true")
    (box.upper / path).symlink_to("/tmp")
    assert "link where a folder belongs" in str(refused(box))


@pytest.mark.parametrize("destination", ["/proc", "/proc/self/attr", "/proc/sys/kernel"])
def test_a05_a_volume_over_proc(yard: Yard, tmp_path: Path, destination: str) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["mounts"].append(
            {
                "destination": destination,
                "type": "bind",
                "source": str(tmp_path),
                "options": ["bind"],
            }
        )

    assert "/proc" in str(refused(yard.sh("true", change=change)))


def test_a07_masking_does_not_use_what_the_image_has(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/dev")]
        spec["linux"]["maskedPaths"] = ["/secret"]

    box = yard.sh("cat /secret", change=change)
    (box.upper / "secret").write_text("treasure")
    (box.upper / "dev").mkdir()
    (box.upper / "dev/null").symlink_to("/secret")
    assert box.run().out == ""


def test_a08_masked_and_readonly_paths(yard: Yard) -> None:
    probe = "for p in %s; do [ -e $p ] || continue; %s; done"
    look = "[ -d $p ] && ls -A $p || cat $p"
    write = "touch $p/x 2>/dev/null && echo $p; [ -f $p ] && (: > $p) 2>/dev/null && echo $p"
    box = yard.box("sleep", "60").start()
    assert box.exec("sh", "-c", probe % (" ".join(MASKED), look)).out == ""
    assert box.exec("sh", "-c", probe % (" ".join(READONLY), write)).out == ""


def test_a09_cgroups_cannot_be_written(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    write = "echo /x > /sys/fs/cgroup/memory/release_agent"
    assert "Read-only file system" in box.exec("sh", "-c", write).err
    remount = box.exec("mount", "-o", "remount,rw", "/sys/fs/cgroup/memory")
    assert remount.code != 0
    assert box.exec("mkdir", "/sys/fs/cgroup/memory/x").code != 0
    # it sees its own group as the root
    assert "memory:/\n" in box.exec("cat", "/proc/self/cgroup").out


def test_a10_capabilities_of_root(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    status = box.exec("grep", "-E", "Cap|NoNewPrivs|Seccomp:", "/proc/self/status").out.split()
    found = dict(zip(status[::2], status[1::2], strict=True))
    assert found == {
        "CapInh:": NOTHING, "CapPrm:": DEFAULT_MASK, "CapEff:": DEFAULT_MASK,
        "CapBnd:": DEFAULT_MASK, "CapAmb:": NOTHING, "NoNewPrivs:": "0", "Seccomp:": "2",
    }  # fmt: skip


def test_a10_capabilities_of_somebody_else(yard: Yard) -> None:
    result = yard.sh("grep Cap /proc/self/status; id", change=user(1000, 1000)).run()
    sets = dict(line.split(":\t") for line in result.out.splitlines()[:5])
    assert sets == {
        "CapInh": NOTHING, "CapPrm": NOTHING, "CapEff": NOTHING,
        "CapBnd": DEFAULT_MASK, "CapAmb": NOTHING,
    }  # fmt: skip
    assert result.out.splitlines()[-1] == "uid=1000(app) gid=1000(app) groups=2000(extra)"


def test_a10_ambient_capabilities_reach_the_program(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        user(1000)(spec)
        for kind in ("inheritable", "ambient"):
            spec["process"]["capabilities"][kind] = ["CAP_NET_BIND_SERVICE"]

    result = yard.sh("grep CapEff /proc/self/status", change=change).run()
    assert result.out.split() == ["CapEff:", "0000000000000400"]


def test_a10_no_new_privileges(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["process"]["noNewPrivileges"] = True

    box = yard.sh("grep -E 'NoNew|Seccomp:' /proc/self/status", change=change)
    assert box.run().out.split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]


@pytest.mark.parametrize("uid", [-1, 2**32 - 1, 2**32, "0x0", True, 1.5])
def test_a11_users_that_are_none(yard: Yard, uid: Any) -> None:
    assert "process.user" in str(refused(yard.sh("id", change=user(uid))))


@pytest.mark.parametrize(
    "sysctl",
    [
        {"kernel.core_pattern": "|/bin/evil"},
        {"kernel.panic": "1"},
        {"net.ipv4.ip_forward": "1\nkernel.core_pattern=x"},
        {"net.../../kernel.panic": "1"},
        {"fs.file-max": "1"},
    ],
)
def test_a14_sysctls_of_the_host(yard: Yard, sysctl: dict[str, str]) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    box = yard.sh("true", change=lambda spec: spec["linux"].update(sysctl=sysctl))
    assert "sysctl" in str(refused(box))
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_a14_sysctls_of_the_container(yard: Yard) -> None:
    sysctl = {"net.ipv4.ip_forward": "0", "kernel.shmmni": "1234"}
    box = yard.sh(
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni",
        change=lambda spec: spec["linux"].update(sysctl=sysctl),
    )
    assert box.run().out == "0\n1234\n"
    assert Path("/proc/sys/kernel/shmmni").read_text() != "1234\n"


DENIED = [
    ["unshare", "-U", "true"],
    ["unshare", "-m", "true"],
    ["mount", "-t", "tmpfs", "none", "/tmp"],
    ["umount", "/proc"],
    ["hostname", "other"],
    ["date", "-s", "2000-01-01"],
    ["chroot", "/"],
]


@pytest.mark.parametrize("command", DENIED[:-1], ids=lambda c: " ".join(c[:2]))
def test_a15_denied_in_run_and_exec(yard: Yard, command: list[str]) -> None:
    box = yard.box("sleep", "60").start()
    assert "ermitted" in box.exec(*command).err or "denied" in box.exec(*command).err
    first = yard.box(*command).run()
    assert "ermitted" in first.err or "denied" in first.err


@pytest.mark.parametrize(
    "profile",
    [
        {"defaultAction": "SCMP_ACT_NOPE"},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]},
        {"syscalls": []},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "x"}]},
    ],
)
def test_a15_a_bad_profile_is_never_no_profile(yard: Yard, profile: dict[str, Any]) -> None:
    box = yard.sh("true", change=lambda spec: spec["linux"].update(seccomp=profile))
    assert "seccomp" in str(refused(box))


def test_a15_a_session_keyring_of_its_own(yard: Yard) -> None:
    names = set()
    for _ in range(2):
        box = yard.box("sleep", "60").start()
        names.add(f"_ses.{box.launch.id}")
    keys = Path("/proc/keys").read_text()
    assert all(name in keys for name in names)


def test_a17_only_the_listed_devices_open(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    assert box.exec("sh", "-c", "mknod /tmp/fuse c 10 229 && cat /tmp/fuse").err.endswith(
        "Operation not permitted\n"
    )
    box.runtime.update(box.cgroup, {"pids": {"limit": 50}})
    assert box.exec("sh", "-c", "cat /tmp/fuse").code != 0
    assert box.exec("sh", "-c", "head -c 1 /dev/zero | wc -c; echo > /dev/null").out == "1\n"


def test_a17_no_rules_means_the_default_list(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["resources"] = {}

    result = yard.sh(
        "mknod /k c 10 229 && cat /k; head -c 1 /dev/zero | wc -c", change=change
    ).run()
    assert result.out == "1\n"
    assert "not permitted" in result.err


def test_a18_the_monitors_socket(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    found = (Path(box.run_dir) / "monitor.sock").stat()
    assert oct(found.st_mode & 0o777) == "0o600"
    assert oct(Path(box.run_dir).stat().st_mode & 0o777) == "0o700"
    assert "monitor.sock" not in box.exec("cat", "/proc/net/unix").out


def test_the_default_list_is_dockers() -> None:
    assert f"{mask(list(CAPABILITIES)):016x}" == DEFAULT_MASK


def test_a04_a_volume_that_changes_while_it_is_mounted(yard: Yard, tmp_path: Path) -> None:
    """Somebody else swaps a folder of a shared volume for a link, all the time."""
    shared, data, outside = (tmp_path / name for name in ("shared", "data", "outside"))
    for folder in (shared / "real", data, outside):
        folder.mkdir(parents=True)
    before = tree_hash(outside)
    stop = threading.Event()

    def swap() -> None:
        place = shared / "target"
        while not stop.is_set():
            with contextlib.suppress(OSError):  # a container has made its mount point meanwhile
                place.symlink_to(f"../../../../../../../../../..{outside}")
                place.unlink()
                place.mkdir()
            shutil.rmtree(place, ignore_errors=True)

    def change(spec: dict[str, Any]) -> None:
        for source, destination in ((shared, "/vol"), (data, "/vol/target/deep/er")):
            spec["mounts"].append(
                {
                    "destination": destination,
                    "type": "bind",
                    "source": str(source),
                    "options": ["rbind"],
                }
            )

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(40):
            box = yard.sh("true", change=change)
            with contextlib.suppress(StartFailed):  # refused is fine, outside is not
                box.start()
            box.delete()
    finally:
        stop.set()
        swapper.join()
    assert tree_hash(outside) == before
    assert str(outside) not in Path("/proc/self/mountinfo").read_text()

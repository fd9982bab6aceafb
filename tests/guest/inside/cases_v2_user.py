"""Version 2 alone: an ordinary user's containers, with and without a group that is theirs."""

import json
import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inside.boxes import GROUPS, MEGABYTE, ROOT, box, prepare_v2, raises, until

from dockyard.base.errors import Denied
from dockyard.base.linux import cgroupfs
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.oci.verbs.spec import template

USER = 1000
SCRIPT = "import sys; from dockyard.node.runtime.oci_cli import main; sys.exit(main())"
PLACE = Path("/tmp/user")


def prepare() -> None:
    prepare_v2()
    PLACE.mkdir()
    os.chown(PLACE, USER, USER)


def as_user(body: Callable[[], None]) -> None:
    """Run it in a process of an ordinary user's, in the group ``user/shell`` if that is there."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if (GROUPS / "user/shell").exists():
                (GROUPS / "user/shell/cgroup.procs").write_text("0")
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            cgroupfs.delegated.cache_clear()
            group._doors.cache_clear()
            body()
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as said:
        assert (text := said.read()) == "", text


@contextmanager
def delegated() -> Iterator[Path]:
    """A group that is the user's (cgroup-v2.rst, "Delegation"): the folder and three files."""
    place = GROUPS / "user"
    (place / "shell").mkdir(parents=True)
    (GROUPS / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "shell",
                 "shell/cgroup.procs"):  # fmt: skip
        os.chown(place / name, USER, USER)
    try:
        yield place
        until(lambda: not (place / "shell/cgroup.procs").read_text())
        # a monitor goes away after its container's removal
        until(lambda: not [found for found in place.glob("dockyard/*/*") if found.is_dir()])
    finally:  # what a case that has failed has left would be the next one's error
        (place / "cgroup.kill").write_text("1")
        until(lambda: "populated 0" in (place / "cgroup.events").read_text())
        for found in sorted((place, *place.rglob("*")), reverse=True):
            if found.is_dir():
                found.rmdir()


def oci(*words: str) -> tuple[int, str]:
    """The runtime's command line; its output goes to a file, which a container keeps open."""
    log = PLACE / "log"
    with log.open("w") as file:
        command = ["python3", "-S", "-B", "-c", SCRIPT, "--root", PLACE / "run", *words]
        done = subprocess.run(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                              env={"PYTHONPATH": "/opt", "PATH": "/bin"}, timeout=60)  # fmt: skip
    return done.returncode, log.read_text()


def bundle(**resources: object) -> None:
    spec = template(rootless=True)
    spec["process"].update(args=["sleep", "600"], terminal=False)
    spec["root"]["path"] = str(ROOT)
    for mount in spec["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = ["nosuid", "noexec", "nodev"]
    spec["linux"].update(cgroupsPath="/dockyard/u/c", resources=resources)
    (PLACE / "config.json").write_text(json.dumps(spec))


def test_nothing_delegated_is_no_group_and_no_limit() -> None:
    def body() -> None:
        assert group.create("dockyard/u/c", {}) == ""
        group.join("")
        with raises(Denied, "no group is delegated"):
            group.create("dockyard/u/c", {"memory": {"limit": MEGABYTE}})

    as_user(body)
    assert not (GROUPS / "dockyard/u").exists()


def test_what_is_delegated_is_used() -> None:
    def body() -> None:
        limits = {"memory": {"limit": 32 * MEGABYTE}, "pids": {"limit": 9}}
        made = group.create("dockyard/u/c", limits)
        assert made == "user/dockyard/u/c", made
        assert (GROUPS / made / "memory.max").read_text() == f"{32 * MEGABYTE}\n"
        pid = os.fork()
        if pid == 0:
            group.join(made)
            os.execv("/bin/sleep", ["sleep", "600"])
        until(lambda: group.pids(made) == [pid])
        group.update("dockyard/u/c", {"pids": {"limit": 5}})
        assert (GROUPS / made / "pids.max").read_text() == "5\n"
        group.freeze(made, True)
        assert group.is_frozen("dockyard/u/c")
        group.signal_all(made, 9)
        os.waitpid(pid, 0)
        group.remove(made)
        assert not (GROUPS / made).exists()

    with delegated():
        as_user(body)


def test_a_container_without_root_has_its_limits() -> None:
    def body() -> None:
        bundle(memory={"limit": 64 * MEGABYTE}, pids={"limit": 9})
        code, said = oci("run", "-d", "-b", str(PLACE), "c")
        assert code == 0, said
        made = GROUPS / "user/dockyard/u/c"
        assert (made / "memory.max").read_text() == f"{64 * MEGABYTE}\n"
        pid = json.loads(oci("state", "c")[1])["pid"]
        assert (made / "cgroup.procs").read_text() == f"{pid}\n"
        assert Path(f"/proc/{pid}").stat().st_uid == USER
        assert oci("exec", "c", "cat", "/proc/self/cgroup") == (0, "0::/\n")
        assert oci("exec", "c", "mkdir", "/sys/fs/cgroup/mine") == (0, "")
        assert oci("update", "--pids-limit", "5", "c")[0] == 0
        assert (made / "pids.max").read_text() == "5\n"
        assert oci("pause", "c")[0] == 0
        assert json.loads(oci("state", "c")[1])["status"] == "paused"
        assert oci("resume", "c")[0] == 0
        assert json.loads(oci("ps", "-f", "json", "c")[1]) == [pid]
        said = json.loads(oci("events", "--stats", "c")[1])["data"]
        assert said["pids"] == {"current": 1, "limit": 5}
        assert said["memory"]["usage"]["limit"] == 64 * MEGABYTE
        assert 0 < said["memory"]["usage"]["usage"] < 64 * MEGABYTE
        assert said["cpu"]["usage"]["total"] > 0
        code, said = oci("delete", "-f", "c")
        assert code == 0, said
        assert not made.exists()

    with delegated():
        as_user(body)


def test_a_limit_without_a_group_is_refused_and_nothing_is_left() -> None:
    def body() -> None:
        bundle(memory={"limit": 64 * MEGABYTE})
        code, said = oci("create", "-b", str(PLACE), "c")
        assert code == 1
        assert "no group is delegated to this user" in said
        assert oci("state", "c")[0] == 1
        bundle()
        assert oci("run", "-d", "-b", str(PLACE), "c")[0] == 0
        assert oci("exec", "c", "id", "-u") == (0, "0\n")
        code, said = oci("exec", "c", "mkdir", "/sys/fs/cgroup/x")
        assert "Read-only file system" in said, "a09: not even where it could be written"
        assert oci("delete", "-f", "c")[0] == 0

    as_user(body)


def test_the_root_of_a_user_namespace_owns_its_group_where_it_may_write_it() -> None:
    """config-linux.md, "Cgroup ownership"."""
    mapped = [{"containerID": 0, "hostID": 100000, "size": 65536}]

    def change(spec: dict, options: list[str]) -> None:
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"].update(uidMappings=mapped, gidMappings=mapped)
        for mount in spec["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"] = options

    for options, uid in ((["nosuid", "nodev", "noexec"], 100000), (["ro"], 0)):
        with box("sleep", "600", change=lambda spec, given=options: change(spec, given)) as found:
            found.start()
            for file in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
                assert (GROUPS / found.cgroup / file).stat().st_uid == uid
            assert (GROUPS / found.cgroup / "pids.max").stat().st_uid == 0, "limits are the host's"
            code = found.exec("mkdir", "/sys/fs/cgroup/inside").code
            assert (code == 0) == (uid != 0)

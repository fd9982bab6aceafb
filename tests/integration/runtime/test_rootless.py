"""An ordinary user's containers: nothing in them, and nothing that makes them, is root's."""

from __future__ import annotations

import json
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.oci.defaultspec import default_spec
from helpers import rootfs
from helpers.leaks import tree_hash
from helpers.ordinary import Ordinary, ordinary

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def many() -> Iterator[Ordinary]:
    """A user with a range of ids."""
    with ordinary(subordinate=True) as found:
        rootfs.make(found.place / "root")
        yield found


@pytest.fixture(scope="module")
def single() -> Iterator[Ordinary]:
    """A user without."""
    with ordinary(subordinate=False) as found:
        rootfs.make(found.place / "root")
        yield found


@pytest.fixture(params=["many", "single"])
def user(request: pytest.FixtureRequest) -> Iterator[Ordinary]:
    found: Ordinary = request.getfixturevalue(request.param)
    yield found
    for line in found.dockyard("ps", "-aq").stdout.split():
        found.dockyard("rm", "-f", line)
    folder = found.home / ".local/share/dockyard/containers"
    assert not folder.exists() or list(folder.iterdir()) == []
    assert processes(found) == []


def processes(user: Ordinary) -> list[str]:
    """Of the user's that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == user.uid and (folder / "cmdline").read_bytes():
                found.append((folder / "cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def run(user: Ordinary, *words: str, **more: Any) -> tuple[int, str, str]:
    root = str(user.place / "root")
    done = user.dockyard("run", "--rm", "--network", "none", "--rootfs", root, *words, **more)
    return done.returncode, done.stdout, done.stderr


def test_a_container_without_root(user: Ordinary) -> None:
    text = "id -u; cat /proc/self/uid_map; grep -E 'CapEff|Seccomp:' /proc/self/status; exit 7"
    code, out, err = run(user, "sh", "-c", text)
    assert code == 7, err
    lines = out.split("\n")
    assert lines[0] == "0"
    assert lines[1].split() == ["0", str(user.uid), "1"]
    assert [line.split()[1] for line in lines[-3:-1]] == ["00000000a80425fb", "2"]


def test_everything_is_the_users(user: Ordinary) -> None:
    before = tree_hash(user.place / "root")
    root = str(user.place / "root")
    done = user.dockyard("run", "-d", "--name", "web", "--network", "none", "--rootfs", root,
                         "sh", "-c", "touch /made; exec sleep 60", check=True)  # fmt: skip
    [process] = json.loads(user.dockyard("inspect", "web", check=True).stdout)
    pid = process["State"]["Pid"]
    assert Path(f"/proc/{pid}").stat().st_uid == user.uid
    ids = Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{user.uid}" in ids
    assert user.dockyard("exec", "web", "id", "-u", check=True).stdout == "0\n"
    assert user.dockyard("exec", "web", "cat", "/proc/1/cmdline").stdout == "sleep\x0060\0"
    identity = done.stdout.strip()
    made = user.home / f".local/share/dockyard/containers/{identity}/upper/made"
    assert made.stat().st_uid == user.uid
    for folder in (user.home / ".local/share/dockyard", Path(f"/tmp/dockyard-{user.uid}")):
        assert folder.stat().st_uid == user.uid
        assert folder.stat().st_mode & 0o066 == 0
    groups = Path(f"/proc/{pid}/cgroup").read_text()
    assert "dockyard" not in groups, "no control group on version 1"
    assert user.dockyard("stop", "-t", "0", "web").returncode == 0
    assert user.dockyard("rm", "web").returncode == 0
    assert tree_hash(user.place / "root") == before


def test_other_users_inside(many: Ordinary) -> None:
    text = "touch /f; chown 5:6 /f; stat -c %u:%g /f; id"
    code, out, err = run(many, "sh", "-c", text)
    assert (code, out.splitlines()[0]) == (0, "5:6"), err
    code, out, err = run(many, "--user", "app", "id")
    assert out == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n", err


def test_files_of_other_ids_can_be_removed(many: Ordinary) -> None:
    root = str(many.place / "root")
    many.dockyard("run", "--name", "left", "--network", "none", "--rootfs", root, "sh", "-c",
                  "mkdir /d; touch /d/f; chown -R 77:77 /d; chmod 700 /d", check=True)  # fmt: skip
    assert many.dockyard("rm", "left").stderr == ""
    assert list((many.home / ".local/share/dockyard/containers").iterdir()) == []


def test_a_user_for_whom_there_is_no_id(single: Ordinary) -> None:
    code, _, err = run(single, "--user", "1000", "id")
    assert code == 125
    assert "uid 1000: without root a container has the ids" in err


def test_what_is_squashed_is_said(user: Ordinary) -> None:
    code, out, err = run(user, "stat", "-c", "%u", "/bin/busybox")
    assert (code, out) == (0, "65534\n")
    assert "belongs to uid 0, who has no id in this container" in err
    assert ("newuidmap" in err) == (user.dockyard("run", "--user", "1000", "--rm", "--network",
            "none", "--rootfs", str(user.place / "root"), "true").returncode != 0)  # fmt: skip


def test_a_root_of_ones_own_is_not_squashed(user: Ordinary) -> None:
    own = rootfs.make(user.home / "own")
    for path in (own, *own.rglob("*")):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    done = user.dockyard("run", "--rm", "--network", "none", "--rootfs", str(own), "sh", "-c",
                         "stat -c %u /bin/busybox; touch /etc/made && echo written")  # fmt: skip
    assert done.stdout == "0\nwritten\n"
    assert "squashed" not in done.stderr


def test_limits_without_a_group_are_discarded_aloud(user: Ordinary) -> None:
    """As `podman run` and rootless dockerd on version 1; an OCI runtime refuses them, as runc."""
    code, out, err = run(user, "--memory", "64m", "--pids-limit", "9", "echo", "runs")
    assert (code, out) == (0, "runs\n")
    assert "WARNING: limits of memory, pids: no control group is delegated to this user" in err


def test_the_hosts_network(user: Ordinary) -> None:
    done = user.dockyard("run", "--rm", "--network", "host", "--rootfs", str(user.place / "root"),
                         "sh", "-c", "readlink /proc/self/ns/net; touch /sys/x")  # fmt: skip
    assert done.stdout.strip() == str(Path("/proc/self/ns/net").readlink())
    assert "Read-only file system" in done.stderr


def test_the_default_network_says_what_it_is(user: Ordinary) -> None:
    """With pasta there is a way out; without, or without its device, that is said."""
    done = user.dockyard("run", "--rm", "--rootfs", str(user.place / "root"), "ip", "addr")
    assert done.returncode == 0, done.stderr
    usable = (Path("/usr/bin/pasta").exists()
              and Path("/dev/net/tun").stat().st_mode & 0o006 == 0o006)  # fmt: skip
    assert ("has no network but its loopback" in done.stderr) == (not usable)
    assert ("inet " in done.stdout.replace("inet 127", "")) == usable


def test_what_needs_root_says_so(user: Ordinary) -> None:
    root = str(user.place / "root")
    done = user.dockyard("run", "--rm", "--network", "mine", "--rootfs", root, "true")
    assert done.returncode == 125
    assert "networks between containers need root" in done.stderr
    assert user.dockyard("up").returncode == 125


def test_a_runtime_directory_of_the_session(user: Ordinary) -> None:
    session = user.home / "run"
    session.mkdir(exist_ok=True)
    os.chown(session, user.uid, user.gid)
    env = {"XDG_RUNTIME_DIR": str(session), "XDG_DATA_HOME": str(user.home / "data")}
    code, out, err = run(user, "echo", "here", env=env)
    assert (code, out) == (0, "here\n"), err
    assert (session / "dockyard").is_dir()
    assert (user.home / "data/dockyard/containers").is_dir()


def test_a_run_directory_that_is_somebody_elses(user: Ordinary) -> None:
    """/tmp is everybody's: what another has put there is not used."""
    path = Path(f"/tmp/dockyard-{user.uid}")
    aside = path.with_name(f"{path.name}-aside")
    if path.exists():
        path.rename(aside)
    try:
        path.mkdir(0o777)
        code, _, err = run(user, "true")
        assert code == 125
        assert f"{path}: belongs to uid 0" in err
    finally:
        path.rmdir()
        if aside.exists():
            aside.rename(path)


def image(user: Ordinary) -> Path:
    """A root as a tar: with owners, a device, and a folder that its owner may not write."""
    path = user.place / f"image-{user.name}.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(user.place / "root", arcname=".")
        for name, kind, mode, uid in (
            ("owned", tarfile.REGTYPE, 0o640, 33), ("fixed", tarfile.DIRTYPE, 0o555, 5),
            ("fixed/inside", tarfile.REGTYPE, 0o444, 5), ("dev/disk", tarfile.BLKTYPE, 0o660, 0),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.devmajor = kind, mode, uid, 8
            archive.addfile(entry)
    path.chmod(0o644)
    return path


def test_an_image_without_root(user: Ordinary) -> None:
    done = user.dockyard("image", "import", str(image(user)), "mine:1", check=True)
    assert "owners are squashed, devices left out" in done.stderr
    text = "stat -c '%n %u %A' /owned /fixed /fixed/inside; touch /etc/new && echo written; ls /dev"
    done = user.dockyard("run", "--rm", "--network", "none", "mine:1", "sh", "-c", text, check=True)
    assert done.stdout.splitlines()[:4] == [
        "/owned 0 -rw-r-----", "/fixed 0 drwxr-xr-x", "/fixed/inside 0 -r--r--r--", "written",
    ]  # fmt: skip
    assert "disk" not in done.stdout
    assert "belongs to uid" not in done.stderr
    user.dockyard("rmi", "mine:1", check=True)
    layers = user.home / ".local/share/dockyard/images/layers"
    assert list(layers.iterdir()) == []


def test_a_volume_without_root(user: Ordinary) -> None:
    root = str(user.place / "root")
    for text, out in (("echo kept > /data/f", ""), ("cat /data/f", "kept\n")):
        done = user.dockyard("run", "--rm", "--network", "none", "-v", "mine:/data", "--rootfs",
                             root, "sh", "-c", text, check=True)  # fmt: skip
        assert done.stdout == out
    user.dockyard("volume", "rm", "mine", check=True)


def bundle(user: Ordinary, name: str, *args: str, **linux: Any) -> Path:
    place = user.home / name
    place.mkdir(exist_ok=True)
    root, cgroup = str(user.place / "root"), f"/dockyard-oci-tests/{name}"
    spec = default_spec(args=list(args), env=["PATH=/bin"], cwd="/", root=root, cgroup=cgroup)
    spec["root"]["readonly"] = True
    for mount in spec["mounts"]:
        mount["options"] = [option for option in mount["options"] if option != "gid=5"]
    spec["linux"]["namespaces"].append({"type": "user"})
    spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": user.uid, "size": 1}]
    spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": user.gid, "size": 1}]
    spec["linux"].update(linux)
    (place / "config.json").write_text(json.dumps(spec))
    return place


def test_the_oci_runtime_without_root(user: Ordinary) -> None:
    place = bundle(user, "b1", "sleep", "60")
    root = ("--root", str(user.home / "state"))
    user.oci(*root, "run", "-d", "-b", str(place), "one", check=True)
    state = json.loads(user.oci(*root, "state", "one", check=True).stdout)
    assert state["status"] == "running"
    assert Path(f"/proc/{state['pid']}").stat().st_uid == user.uid
    done = user.oci(*root, "exec", "one", "sh", "-c", "id -u; exit 4")
    assert (done.returncode, done.stdout) == (4, "0\n"), done.stderr
    user.oci(*root, "delete", "--force", "one", check=True)
    assert user.oci(*root, "state", "one").returncode != 0


def test_the_oci_runtime_in_the_foreground(user: Ordinary) -> None:
    place = bundle(user, "b2", "sh", "-c", "echo hello; exit 3")
    done = user.oci("--root", str(user.home / "state"), "run", "-b", str(place), "two")
    assert (done.returncode, done.stdout) == (3, "hello\n"), done.stderr


@pytest.mark.parametrize(
    ("linux", "text"),
    [
        ({"namespaces": [{"type": "mount"}], "uidMappings": [], "gidMappings": []},
         "needs a user namespace"),
        ({"uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}, "uid_map: 0 0 1"),
        ({"uidMappings": [{"containerID": 0, "hostID": 1, "size": 1000}]}, "uid_map: 0 1 1000"),
        ({"resources": {"pids": {"limit": 5}}}, "no group is delegated"),
    ],
    ids=["none", "root", "others", "limits"],
)  # fmt: skip
def test_a16_what_a_user_has_no_right_to(user: Ordinary, linux: dict[str, Any], text: str) -> None:
    place = bundle(user, "b3", "true", **linux)
    done = user.oci("--root", str(user.home / "state"), "run", "-b", str(place), "three")
    assert done.returncode != 0
    assert text in done.stderr
    assert user.oci("--root", str(user.home / "state"), "state", "three").returncode != 0


def test_a16_setgroups_is_denied_with_a_single_id(single: Ordinary) -> None:
    """user_namespaces(7): else a user could leave a group that forbids them something."""
    code, out, _ = run(single, "cat", "/proc/self/setgroups")
    assert (code, out) == (0, "deny\n")


def test_a18_nobody_else_reaches_the_monitor(many: Ordinary, single: Ordinary) -> None:
    root = str(many.place / "root")
    many.dockyard("run", "-d", "--name", "web", "--network", "none", "--rootfs", root,
                  "sleep", "60", check=True)  # fmt: skip
    [path] = Path(f"/tmp/dockyard-{many.uid}").glob("*/*/monitor.sock")
    assert path.stat().st_mode & 0o077 == 0
    probe = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    done = single.run("/usr/bin/python3", "-c", probe)
    assert "PermissionError" in done.stderr
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(path))  # root may
    peer.close()
    many.dockyard("rm", "-f", "web", check=True)


def test_a09_groups_cannot_be_written(user: Ordinary) -> None:
    """Neither the host's, nor where the user's own session happens to be."""
    text = ("for f in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $f/x && echo made $f; done;"
            " echo /x > /sys/fs/cgroup/memory/release_agent && echo wrote")  # fmt: skip
    _, out, err = run(user, "sh", "-c", text)
    assert "made" not in out
    assert "wrote" not in out
    assert "Read-only file system" in err or "Permission denied" in err

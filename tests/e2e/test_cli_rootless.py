"""The verbs that look at containers and copy, as an ordinary user has them."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from dockyard.base.linux import cgroupfs
from helpers import rootfs
from helpers.ordinary import Ordinary, ordinary
from helpers.program import eventually

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=[True, False], ids=["range", "single"])
def user(request: pytest.FixtureRequest) -> Iterator[Ordinary]:
    """With a range of ids, and with their own alone."""
    with ordinary(subordinate=request.param) as found:
        tree = rootfs.make(found.place / "tree")
        subprocess.run(["chown", "-R", f"{found.uid}:{found.gid}", tree], check=True)
        yield found


def out(user: Ordinary, *words: str) -> str:
    return user.dockyard(*words, check=True).stdout


@pytest.fixture(params=["overlay2", "native"])
def web(user: Ordinary, request: pytest.FixtureRequest) -> Iterator[str]:
    out(user, "--storage-driver", request.param, "run", "-d", "--name", "web",
        "--network", "none", "--rootfs", str(user.place / "tree"), "sh", "-c",
        "mkdir /new; echo x > /new/f; rm /etc/group; exec sleep 1000")  # fmt: skip
    eventually(lambda: "D /etc/group" in out(user, "diff", "web"))
    yield "web"
    out(user, "rm", "-f", "web")


def test_a_cluster_is_refused_at_once(user: Ordinary) -> None:
    done = user.dockyard("up")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "dockyard: up: needs root to make namespaces and mounts; run `sudo dockyard up ...`\n"
    )


def test_they_look_at_it(user: Ordinary, web: str) -> None:
    assert out(user, "diff", web).splitlines() == ["C /etc", "D /etc/group", "A /new", "A /new/f"]
    assert out(user, "top", web, "-o", "pid,args").splitlines()[1].endswith("sleep 1000")
    out(user, "export", "-o", f"{user.home}/root.tar", web)
    with tarfile.open(user.home / "root.tar") as tar:
        assert {"new/f", "bin/busybox"} <= set(tar.getnames())
        assert "etc/group" not in tar.getnames()
    found = out(user, "events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}")
    assert {"create", "start", "top", "export"} <= set(found.split())


def test_they_copy(user: Ordinary, web: str) -> None:
    user.run("sh", "-c", "mkdir -p dir/sub; echo in > dir/a; ln -sf a dir/l", check=True)
    out(user, "cp", f"{user.home}/dir", f"{web}:/new")
    assert out(user, "exec", web, "ls", "-ln", "/new/dir").split().count("0") >= 6  # root's
    out(user, "cp", f"{web}:/new", f"{user.home}/back")
    assert (user.home / "back/dir/a").read_text() == "in\n"
    assert (user.home / "back/dir/a").stat().st_uid == user.uid
    assert (user.home / "back/f").read_text() == "x\n"
    done = user.dockyard("cp", f"{web}:/nowhere", str(user.home))
    assert (done.returncode, "Could not find the file" in done.stderr) == (1, True)
    done = user.dockyard("cp", f"{user.home}/dir/a", f"{web}:/new/f/x")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    out(user, "stop", "-t", "0", web)
    done = user.dockyard("cp", f"{web}:/new", str(user.home))
    if out(user, "inspect", "-f", "{{.Driver}}", web) == "native\n":  # nothing to mount
        assert done.returncode == 0, done.stderr
    else:
        assert (done.returncode, "start it first" in done.stderr) == (1, True)


def test_it_is_looked_after(user: Ordinary) -> None:
    out(user, "run", "-d", "--name", "tries", "--restart", "on-failure:1", "--health-cmd", "true",
        "--health-interval", "100ms", "--network", "none", "--rootfs", str(user.place / "tree"),
        "sh", "-c", "sleep 1; exit 3")  # fmt: skip
    try:
        eventually(lambda: "(healthy)" in out(user, "ps"))
        form = "{{.RestartCount}} {{.State.Status}}"
        eventually(lambda: out(user, "inspect", "-f", form, "tries") == "1 exited\n")
    finally:
        out(user, "rm", "-f", "tries")


@pytest.mark.skipif(cgroupfs.layout().pure, reason="cgroup v1 is not mounted")
def test_what_needs_a_control_group_says_so(user: Ordinary, web: str) -> None:
    """Version 1 delegates none; with version 2: tests/guest/inside/cases_v2_rootless.py."""
    for words in (("stats", "--no-stream"), ("update", "-m", "64m", web), ("pause", web)):
        done = user.dockyard(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no control group is delegated to this user" in done.stderr
    assert out(user, "update", "--restart", "on-failure:2", web) == f"{web}\n"
    form = "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
    assert out(user, "inspect", "-f", form, web) == "running on-failure\n"


def test_what_needs_root_says_so(user: Ordinary) -> None:
    for words in (("commit", "x"), ("network", "ls")):
        done = user.dockyard(*words)
        assert (done.returncode, "needs root" in done.stderr) == (125, True)
    done = user.dockyard("run", "--rm", "--runtime", "runc", "--network", "none", "--rootfs",
                         str(user.place / "tree"), "true")  # fmt: skip
    assert (done.returncode, "not implemented for an ordinary user" in done.stderr) == (125, True)

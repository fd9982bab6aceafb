"""What a teacher shows, shown by an ordinary user: namespaces, explained calls, a small system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.aio.now import monotonic, pause
from helpers import rootfs
from helpers.ordinary import Ordinary, ordinary

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def user() -> Iterator[Ordinary]:
    with ordinary(subordinate=True) as found:
        tree = rootfs.make(found.place / "tree")
        (tree / "sbin").mkdir()
        (tree / "sbin/init").symlink_to("/bin/busybox")
        (tree / "etc/inittab").write_text("::sysinit:/bin/echo booting\n")
        yield found


def run(user: Ordinary, *words: str) -> tuple[int, str, str]:
    done = user.dockyard("run", "--network", "none", "--rootfs", str(user.place / "tree"), *words)
    return done.returncode, done.stdout, done.stderr


def test_who_lives_where(user: Ordinary) -> None:
    code, _, stderr = run(user, "-d", "--name", "web", "sleep", "1000")
    assert code == 0, stderr
    shown = user.dockyard("namespaces", "--output", "json", "web", check=True).stdout
    rows = {row["type"]: row for row in json.loads(shown)["namespaces"]}
    for kind in ("mnt", "pid", "net", "user", "uts", "ipc"):
        assert rows[kind]["containers"] == ["web"]
        link = Path(f"/proc/{rows[kind]['pid']}/ns/{kind}").readlink()
        assert str(link) == f"{kind}:[{rows[kind]['ns']}]"
    assert rows["time"]["containers"] == ["host", "web"]
    user.dockyard("rm", "-f", "web", check=True)


def test_explained(user: Ordinary) -> None:
    code, stdout, stderr = run(user, "--rm", "--explain=json", "id", "-u")
    assert (code, stdout) == (0, "0\n"), stderr
    calls = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    assert {"pivot_root", "seccomp", "capset", "execve"} <= {call["call"] for call in calls}
    assert any(call["isolates"] and "its root is nobody outside" in call["isolates"]
               for call in calls)  # fmt: skip
    last = calls[-1]
    assert (last["call"], last["args"][1], last["result"]) == ("execve", '["id", "-u"]', "0")


def test_what_needs_root(user: Ordinary) -> None:
    code, _, stderr = run(user, "--rm", "--without", "pid", "true")
    assert code == 125
    assert "use sudo" in stderr
    done = user.dockyard("chroot", str(user.place / "tree"), "true")
    assert done.returncode == 125
    assert "sudo" in done.stderr


def test_a_small_system(user: Ordinary) -> None:
    code, _, stderr = run(user, "-d", "--system", "--name", "box")
    assert code == 0, stderr
    deadline = monotonic() + 30
    while "booting" not in user.dockyard("logs", "box").stdout:
        assert monotonic() < deadline
        pause(0.05)
    user.dockyard("stop", "box", check=True)
    assert "Exited (0)" in user.dockyard("ps", "-a", check=True).stdout
    user.dockyard("rm", "box", check=True)

"""`run --system`: busybox's init and systemd as a container's first process.

What they expect: systemd's CONTAINER_INTERFACE, systemd(1), busybox's init.c.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dockyard.base.linux import cgroupfs
from helpers import debian, rootfs
from helpers.textshell import TextShell, made

pytestmark = pytest.mark.root
INITTAB = """::sysinit:/bin/echo booting
console::respawn:/bin/sh -l
::shutdown:/bin/echo going down
"""


def booted(shell: TextShell, *options: str) -> None:
    """A system in the background: ``box``."""
    shell("run", "-d", "--system", "--name", "box", "--network", "none", *options,
          "--rootfs", shell.tree)  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[TextShell]:
    tree = rootfs.make(tmp_path / "tree")
    (tree / "sbin").mkdir()
    (tree / "sbin/init").symlink_to("/bin/busybox")
    (tree / "etc/inittab").write_text(INITTAB)
    yield from made(tmp_path / "data", tree)


def test_busybox_boots_and_stops(shell: TextShell) -> None:
    booted(shell)
    shell.until("booting", "logs", "box")
    assert shell("exec", "box", "cat", "/proc/1/comm") == "init\n"
    assert shell("exec", "box", "sh", "-c", "echo $container") == "dockyard\n"
    assert shell("inspect", "-f", "{{.Config.StopSignal}} {{.Config.Tty}}", "box") == (
        "SIGUSR2 true\n"
    )
    shell("stop", "box")
    assert "going down" in shell("logs", "box")
    assert "Exited (0)" in shell("ps", "-a")
    shell("start", "box")
    shell.until("booting", "logs", "--tail", "12", "box")
    assert shell("exec", "box", "cat", "/proc/1/comm") == "init\n"


def test_what_an_init_finds(shell: TextShell) -> None:
    booted(shell)
    rows = [line.split() for line in shell("exec", "box", "cat", "/proc/mounts").splitlines()]
    mounted = {row[1]: (row[2], row[3].split(",")) for row in rows}
    for target, more in (("/run", ["mode=755"]), ("/run/lock", ["noexec"]), ("/tmp", [])):
        kind, options = mounted[target]
        assert kind == "tmpfs"
        assert {"rw", "nosuid", "nodev", *more} <= set(options)
    assert mounted["/dev/console"][0] == "devpts"
    # a tree in which it may make groups, whatever this machine has
    own = "/sys/fs/cgroup" if cgroupfs.layout().v2 else "/sys/fs/cgroup/systemd"
    script = f"mkdir {own}/mine && cat {own}/cgroup.procs {own}/mine/cgroup.procs"
    assert shell("exec", "box", "sh", "-c", script).split()[0] == "1"
    assert not list(Path("/sys/fs/cgroup").glob("*/mine"))
    shell("stop", "-t", "0", "box")  # what it has made there goes with it


def test_its_limits_are_not_its_own_to_change(shell: TextShell) -> None:
    booted(shell, "-m", "64m", "--pids-limit", "50")
    pid = shell("inspect", "-f", "{{.State.Pid}}", "box").strip()
    files = shell("exec", "box", "find", "/sys/fs/cgroup", "-name", "*limit*", "-o", "-name",
                  "*.max")  # fmt: skip
    for file in files.split():
        shell.full("exec", "box", "sh", "-c", f"echo 100000000 > {file}")
    shown = Path(f"/proc/{pid}/cgroup").read_text()
    group = next(line.split(":")[2] for line in shown.splitlines() if ":memory:" in line)
    limit = Path(f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes")
    assert int(limit.read_text()) == 64 << 20
    assert int(Path(f"/sys/fs/cgroup/pids{group}/pids.max").read_text()) == 50
    # nor has it what makes the machine run a program (CVE-2022-0492)
    assert shell("exec", "box", "find", "/sys/fs/cgroup", "-name", "release_agent") == ""
    done = shell.full("exec", "box", "mount", "-t", "cgroup", "-o", "memory", "none", "/tmp")
    assert done.returncode != 0


def test_the_console_is_a_terminal_with_job_control(shell: TextShell) -> None:
    words = ("run", "--rm", "--system", "--network", "none", "--rootfs", shell.tree)
    with closing(shell.console(*words)) as console:
        console.expect(b"# ")
        console.type(b"tty; cat\n")
        console.expect(b"/dev/console")
        console.type(b"word\n")
        console.expect(b"word\r\nword\r\n")  # cat has it: it is in the foreground
        console.type(b"\x03")
        console.expect(b"# ")
        console.type(b"echo $((40+2))\n")
        console.expect(b"\r\n42\r\n")
        console.type(b"poweroff\n")
        console.expect(b"going down")
        assert console.code() == 0
    assert shell("ps", "-aq") == ""


def test_attach_is_the_console(shell: TextShell) -> None:
    booted(shell)
    shell.until("built-in shell", "logs", "box")
    for _ in range(2):  # whoever leaves may come back
        with closing(shell.console("attach", "box")) as console:
            console.type(b"echo $((6*7))\n")
            console.expect(b"\r\n42\r\n")
            console.type(b"\x10\x11")  # the detach keys
            console.expect(b"read escape sequence")
            assert console.code() == 0
    assert shell("exec", "box", "cat", "/proc/1/comm") == "init\n"


def test_a_console_that_nobody_has_open_for_a_while(shell: TextShell) -> None:
    """An init opens it for each line; the terminal must last between them."""
    Path(shell.tree, "etc/inittab").write_text("::sysinit:/bin/sh -c /bin/speak\n")
    rootfs.script(Path(shell.tree), "/sbin/speaker", """#!/bin/sh
exec 0</dev/null 1>/dev/null 2>/dev/null
for word in one two three; do echo $word >/dev/console; done
trap 'exit 7' USR1
while :; do read -t 1 nothing </dev/zero; done
""")  # fmt: skip
    shell("run", "-d", "--system", "--name", "box", "--network", "none", "--stop-signal", "USR1",
          "--rootfs", shell.tree, "/sbin/speaker")  # fmt: skip
    said = shell.until("three", "logs", "box")
    assert said.split() == ["one", "two", "three"]
    shell("stop", "box")
    assert "Exited (7)" in shell("ps", "-a")


def test_what_the_caller_says_wins(shell: TextShell) -> None:
    booted(shell, "--tmpfs", "/tmp:rw,size=1m", "-e", "container=other", "--stop-timeout", "3",
               "--stop-signal", "TERM")  # fmt: skip
    line = next(line for line in shell("exec", "box", "cat", "/proc/mounts").splitlines()
                if " /tmp " in line)  # fmt: skip
    assert "size=1024k" in line
    assert shell("exec", "box", "sh", "-c", "echo $container") == "other\n"
    told = "{{.Config.StopSignal}} {{.Config.StopTimeout}}"
    assert shell("inspect", "-f", told, "box") == "TERM 3\n"


def test_a_root_without_an_init(shell: TextShell) -> None:
    Path(shell.tree, "sbin/init").unlink()
    Path(shell.tree, "bin/init").unlink()
    done = shell.full("run", "--rm", "--system", "--network", "none", "--rootfs", shell.tree)
    assert done.returncode == 125
    assert "the root has no init" in done.stderr
    assert "busybox" in done.stderr
    assert shell("ps", "-aq") == ""


@pytest.fixture(scope="module", params=["", "trixie"], ids=["own", "trixie"])
def debian_tree(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """This machine's release, and one whose systemd (257) wants cgroup v2."""
    folder = tmp_path_factory.mktemp("debian") / "tree"
    packages = ("systemd", "systemd-sysv", "dbus", "passwd")
    try:
        tree = debian.tree(folder, *packages, suite=request.param)
    except debian.NoSuchSuite:
        pytest.skip("this machine's Debian mirror has no trixie")
    subprocess.run(["chroot", str(tree), "passwd", "-d", "root"], check=True, capture_output=True)
    return tree


@pytest.fixture
def machine(tmp_path: Path, debian_tree: Path) -> Iterator[TextShell]:
    yield from made(tmp_path / "data", debian_tree)


@pytest.mark.long
def test_systemd_boots_serves_and_stops(machine: TextShell) -> None:
    booted(machine)
    machine.until("running", "exec", "box", "systemctl", "is-system-running")
    assert machine("exec", "box", "systemctl", "--failed", "--plain", "--no-legend") == ""
    assert machine("exec", "box", "systemd-detect-virt", "-c") == "container-other\n"
    pid = machine("exec", "box", "systemctl", "show", "-P", "MainPID", "dbus.service").strip()
    groups = machine("exec", "box", "cat", f"/proc/{pid}/cgroup")
    assert ":/system.slice/dbus.service" in groups
    assert machine("exec", "box", "systemd-run", "--wait", "-q", "-G", "true") == ""
    done = machine.full("exec", "box", "systemd-run", "--wait", "-q", "-G", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert "Journal started" in machine("exec", "box", "journalctl", "-b", "--no-pager")
    machine("stop", "box")
    assert "Exited (0)" in machine("ps", "-a")
    assert "Exiting container." in machine("logs", "box")


@pytest.mark.long
def test_a_login_on_systemds_console(machine: TextShell) -> None:
    booted(machine)
    unit = "console-getty.service"
    machine.until("\nactive", "exec", "box", "sh", "-c", f"echo; systemctl is-active {unit}")
    with closing(machine.console("attach", "box")) as console:
        console.type(b"\n")
        console.expect(b"login: ")
        console.type(b"root\n")
        console.expect(b"# ")
        console.type(b"tty; cat /proc/1/comm\n")
        console.expect(b"/dev/console")
        console.expect(b"systemd")
        console.type(b"systemctl poweroff\n")
        console.expect(b"Exiting container.", 90)
        assert console.code() == 0
    assert "Exited (0)" in machine("ps", "-a")


@pytest.mark.long
def test_a_service_that_does_not_stop_meets_the_grace(machine: TextShell) -> None:
    booted(machine)
    machine.until("running", "exec", "box", "systemctl", "is-system-running")
    machine("exec", "box", "systemd-run", "-q", "-p", "TimeoutStopSec=infinity", "sh", "-c",
            "trap '' TERM HUP; while :; do sleep 1; done")  # fmt: skip
    machine("stop", "-t", "2", "box")
    assert "Exited (137)" in machine("ps", "-a")

"""podman runs its containers through dockyard-oci, as through runc: conmon, exec, logs, pods."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.podman import IMAGE, Podman

pytestmark = pytest.mark.root
OURS = str(Path(sys.executable).parent / "dockyard-oci")
RUNTIMES = [OURS, *(["/usr/sbin/runc"] if Path("/usr/sbin/runc").exists() else [])]


@pytest.fixture(scope="module", params=RUNTIMES, ids=lambda path: Path(path).name)
def podman(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> (
    Iterator[Podman]
):  # fmt: skip
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    found = Podman(tmp_path_factory.mktemp("podman"), request.param)
    try:
        found.load_image()
        yield found
    finally:
        found.close()


LOOP = "echo started; trap 'exit 3' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def box(podman: Podman) -> Iterator[str]:
    """A container that runs, and ends with code 3 when it is asked to."""
    _, name, _ = podman("run", "-d", IMAGE, "sh", "-c", LOOP)
    yield name.strip()
    podman("rm", "--force", "--time", "0", name.strip(), check=False)


def state(podman: Podman, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(podman("inspect", name)[1])[0]["State"]
    return found


def test_run(podman: Podman) -> None:
    code, out, err = podman.run("--", "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    assert (code, out, err) == (5, "out\n", "err\n")


@pytest.mark.parametrize(("program", "code"), [("nope", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_executed(podman: Podman, program: str, code: int) -> None:
    assert podman.run("--", program, check=False)[0] == code
    assert podman("ps", "--all", "--quiet")[1] == ""


def test_input_and_a_terminal(podman: Podman) -> None:
    assert podman("run", "--rm", "-i", IMAGE, "cat", stdin="given\n")[1] == "given\n"
    assert podman.run("-t", "--", "tty")[1].strip() == "/dev/pts/0"


def test_exec(podman: Podman, box: str) -> None:
    assert podman("exec", box, "echo", "in")[1] == "in\n"
    assert podman("exec", box, "sh", "-c", "exit 9", check=False)[0] == 9
    assert podman("exec", box, "nope", check=False)[0] == 127
    assert podman("exec", "-t", box, "tty")[1].strip() == "/dev/pts/0"
    assert podman("exec", "-i", box, "cat", stdin="given")[1] == "given"
    out = podman("exec", "-u", "1000", "-e", "A=b", "-w", "/tmp", box, "sh", "-c",
                 "id -u; echo $A; pwd")[1]  # fmt: skip
    assert out.split() == ["1000", "b", "/tmp"]
    podman("exec", "-d", box, "touch", "/made")
    deadline = time.monotonic() + 20
    while podman("exec", box, "test", "-e", "/made", check=False)[0]:
        assert time.monotonic() < deadline


def test_logs_and_the_end(podman: Podman, box: str) -> None:
    assert podman("logs", box)[1] == "started\n"
    podman("stop", "--time", "10", box)
    found = state(podman, box)
    assert (found["Status"], found["ExitCode"]) == ("exited", 3)
    podman("start", box)
    podman("stop", "--time", "10", box)
    assert podman("logs", box)[1] == "started\nstarted\n"


def test_kill_and_wait(podman: Podman, box: str) -> None:
    podman("kill", "--signal", "KILL", box)
    assert podman("wait", box)[1] == "137\n"


def test_pause_top_stats_update(podman: Podman, box: str) -> None:
    podman("pause", box)
    assert state(podman, box)["Status"] == "paused"
    podman("unpause", box)
    assert state(podman, box)["Status"] == "running"
    assert "sh -c echo started" in podman("top", box, "args")[1]
    assert podman("stats", "--no-stream", "--format", "{{.PIDs}}", box)[1].strip() in ("1", "2")
    podman("update", "--memory", "64m", box)
    file = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert podman("exec", box, "cat", file)[1] == "67108864\n"


def test_health(podman: Podman) -> None:
    _, name, _ = podman("run", "-d", "--health-cmd", "test -e /healthy", "--health-interval",
                        "disable", IMAGE, "sleep", "100")  # fmt: skip
    name = name.strip()
    assert podman("healthcheck", "run", name, check=False)[0] == 1
    podman("exec", name, "touch", "/healthy")
    assert podman("healthcheck", "run", name)[0] == 0
    podman("rm", "--force", "--time", "0", name)


def test_limits(podman: Podman) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max"
    out = podman.run("--memory", "64m", "--pids-limit", "20", "--", "sh", "-c", script)[1]
    assert out.split() == ["67108864", "20"]
    starved = "sh -c 'exec tail -c 200000000 /dev/zero'; echo $?"
    flags = ("--memory", "16m", "--memory-swap", "16m")
    assert podman.run(*flags, "--", "sh", "-c", starved)[1] == "137\n"


def test_a_read_only_root(podman: Podman) -> None:
    code, _, err = podman.run("--read-only", "--", "touch", "/new", check=False)
    assert code == 1
    assert "Read-only file system" in err
    podman.run("--read-only", "--", "touch", "/tmp/new")


def test_users_of_its_own(podman: Podman) -> None:
    maps = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")
    out = podman.run(*maps, "--", "sh", "-c", "cat /proc/self/uid_map; touch /x; stat -c %u /x")[1]
    assert out.split() == ["0", "100000", "65536", "0"]


def test_confinement(podman: Podman, tmp_path: Path) -> None:
    script = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; id -u; hostname; ls /mnt"
    (tmp_path / "file").write_text("")
    tmp_path.chmod(0o755)
    out = podman.run(
        "--user",
        "1000",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--hostname",
        "named",
        "-v",
        f"{tmp_path}:/mnt:ro",
        "--",
        "sh",
        "-c",
        script,
    )[1]
    assert out.split() == [
        "CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2", "1000", "named", "file",
    ]  # fmt: skip
    everything = podman.run("--privileged", "--", "grep", "CapBnd", "/proc/self/status")[1]
    # what this machine's root has
    bound = Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0]
    assert everything.split()[1] == bound


def test_the_hosts_namespaces(podman: Podman) -> None:
    flags = ("--pid", "host", "--network", "host", "--ipc", "host", "--uts", "host")
    out = podman.run(*flags, "--", "readlink", "/proc/self/ns/pid")[1]
    assert out.strip() == str(Path("/proc/self/ns/pid").readlink())


def test_a_pod(podman: Podman) -> None:
    if not shutil.which("catatonit"):
        pytest.skip("catatonit is not installed")
    podman("pod", "create", "--name", "pod", "--share", "net,ipc,uts", "--network", "none")
    podman("run", "-d", "--pod", "pod", "--name", "one", IMAGE, "sh", "-c",
           "echo hello | nc -l -p 8080")  # fmt: skip
    deadline = time.monotonic() + 20
    found = ""
    while found != "hello\n":
        found = podman("run", "--rm", "--pod", "pod", IMAGE, "nc", "127.0.0.1", "8080",
                       check=False)[1]  # fmt: skip
        assert time.monotonic() < deadline
    assert podman("pod", "inspect", "--format", "{{.NumContainers}}", "pod")[1] == "2\n"
    podman("pod", "stop", "--time", "0", "pod")
    podman("pod", "rm", "--force", "pod")


def test_nothing_is_left(podman: Podman) -> None:
    _, name, _ = podman("run", "-d", IMAGE, "sleep", "100")
    name = name.strip()
    groups = list(Path("/sys/fs/cgroup").glob(f"*/libpod_parent/libpod-{name}"))
    assert groups
    podman("rm", "--force", "--time", "0", name)
    assert [group for group in groups if group.exists()] == []
    assert name not in Path("/proc/self/mountinfo").read_text()

"""Version 2 alone: ``dockyard`` of an ordinary user, with and without a group that is theirs."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inside import cases_v2_user
from inside.boxes import GROUPS, MEGABYTE, until
from inside.cases_v2_user import PLACE, USER, as_user, delegated

SCRIPT = "from dockyard.cli.main import program; program()"
TREE = PLACE / "tree"


def prepare() -> None:
    """And a root of busybox alone, the user's."""
    cases_v2_user.prepare()
    (TREE / "bin").mkdir(parents=True)
    (TREE / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (TREE / "bin/busybox").chmod(0o755)
    for name in ("sh", "sleep", "tail", "cat", "id"):
        (TREE / "bin" / name).symlink_to("busybox")
    for place in (TREE, *TREE.rglob("*")):
        os.chown(place, USER, USER, follow_symlinks=False)


def dockyard(*words: str) -> tuple[int, str]:
    """The program, as whoever this process is. Its output goes to a file, which a container keeps
    open."""
    log = PLACE / "said"
    with log.open("w") as file:
        command = ["python3", "-S", "-B", "-c", SCRIPT, "--data-dir", PLACE / "data", *words]
        done = subprocess.run(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                              env={"PYTHONPATH": "/opt", "PATH": "/bin", "HOME": PLACE,
                                   "XDG_RUNTIME_DIR": PLACE}, timeout=100)  # fmt: skip
    return done.returncode, log.read_text()


def said(*words: str) -> str:
    code, text = dockyard(*words)
    assert code == 0, (words, code, text)
    return text


@contextmanager
def web(*flags: str) -> Iterator[Path]:
    """A container that runs: its control group."""
    container = said("run", "-d", "--name", "web", "--network", "none", *flags, "--rootfs",
                     str(TREE), "sleep", "600").split()[-1]  # fmt: skip
    try:
        [place] = GROUPS.glob(f"user/dockyard/*/{container}")
        yield place
    finally:
        said("rm", "-f", "web")
    assert not place.exists()


def state(form: str) -> str:
    return said("inspect", "-f", form, "web").strip()


def test_limits_pauses_and_statistics() -> None:
    def body() -> None:
        with web("-m", "64m", "--pids-limit", "20", "--cpus", "0.5") as place:
            assert (place / "memory.max").read_text() == f"{64 * MEGABYTE}\n"
            assert (place / "pids.max").read_text() == "20\n"
            assert (place / "cpu.max").read_text() == "50000 100000\n"
            assert place.stat().st_uid == USER
            said("pause", "web")
            assert "frozen 1" in (place / "cgroup.events").read_text()
            assert state("{{.State.Status}}") == "paused"
            code, text = dockyard("exec", "web", "id")
            assert (code, "is paused" in text) == (1, True), text
            said("unpause", "web")
            assert "frozen 0" in (place / "cgroup.events").read_text()
            assert said("exec", "web", "id", "-u") == "0\n"
            said("update", "-m", "96m", "--memory-swap", "96m", "--pids-limit", "30", "web")
            assert (place / "memory.max").read_text() == f"{96 * MEGABYTE}\n"
            assert (place / "pids.max").read_text() == "30\n"
            assert state("{{.HostConfig.Memory}}") == str(96 * MEGABYTE)
            form = "{{.MemUsage}} {{.PIDs}}"
            used, slash, limit, pids = said("stats", "--no-stream", "--format", form).split()
            assert (slash, limit, pids) == ("/", "96MiB", "1")
            assert float(used.rstrip("KMiB")) > 0
            assert said("top", "web", "-o", "pid,args").splitlines()[1].endswith("sleep 600")
            found = said("events", "--since", "1h", "--until", "0s", "--format", "{{json .}}")
            actions = [json.loads(line)["Action"] for line in found.splitlines()]
            wanted = ["start", "pause", "unpause", "update", "top"]
            assert [each for each in actions if each in wanted] == wanted

    with delegated():
        as_user(body)


def test_a_container_without_memory() -> None:
    def body() -> None:
        code, text = dockyard("run", "--name", "web", "--network", "none", "-m", "16m", "--rootfs",
                              str(TREE), "sh", "-c", "exec tail -c 99000000 /dev/zero")  # fmt: skip
        assert code == 137, text
        assert state("{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"
        said("rm", "web")

    with delegated():
        as_user(body)


def test_the_users_own_groups_are_all_that_is_left() -> None:
    def body() -> None:
        for _ in range(2):
            with web():
                pass

    with delegated() as place:
        as_user(body)
        until(lambda: [each for each in place.glob("dockyard/*") if each.is_dir()] == [])


def test_without_a_group_it_runs_and_the_rest_says_why() -> None:
    def body() -> None:
        text = said("run", "-d", "--name", "web", "--network", "none", "-m", "64m", "--rootfs",
                    str(TREE), "sleep", "600")  # fmt: skip
        assert "limits of memory: no control group is delegated to this user" in text
        for words in (("pause", "web"), ("update", "-m", "64m", "web"), ("stats", "--no-stream")):
            code, text = dockyard(*words)
            assert (code, "no control group is delegated" in text) == (1, True), (words, text)
        assert said("top", "web", "-o", "pid,args").splitlines()[1].endswith("sleep 600")
        said("rm", "-f", "web")

    run: Callable[[Callable[[], None]], None] = as_user
    run(body)
    assert not (GROUPS / "user").exists()

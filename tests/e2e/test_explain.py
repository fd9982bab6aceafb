"""`run --explain` against strace(1): call for call, argument for argument, of the same run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import rootfs
from helpers.program import PROGRAM
from helpers.textshell import TextShell, made

pytestmark = pytest.mark.root
MAKING = {
    "clone", "clone3", "unshare", "setns", "mount", "umount2", "fsopen", "fsconfig", "fsmount",
    "open_tree", "move_mount", "mount_setattr", "pivot_root", "chroot", "sethostname",
    "setdomainname", "prctl", "capset", "capget", "seccomp", "setuid", "setgid", "setgroups",
    "setresuid", "setresgid", "keyctl", "execve", "execveat", "mkdirat", "mknodat", "symlinkat",
    "fchownat", "fchdir", "setsid", "openat2", "close_range", "bpf", "personality",
    "sched_setattr", "sched_setaffinity", "ioprio_set", "umask", "chdir", "prlimit64",
}  # fmt: skip
"""What makes a container. Of `mkdir` and `write`, those that are about control groups and /proc."""
ROUTE_MESSAGES = {"0x10": "RTM_NEWLINK", "0x11": "RTM_DELLINK", "0x12": "RTM_GETLINK",
                  "0x14": "RTM_NEWADDR", "0x16": "RTM_GETADDR", "0x18": "RTM_NEWROUTE",
                  "0x1a": "RTM_GETROUTE", "0x1c": "RTM_NEWNEIGH"}  # fmt: skip
"""linux/rtnetlink.h, where strace has not seen what kind of socket it is."""
OF_GROUPS = ("/sys/fs/cgroup/", "/proc/")
Line = tuple[str, str, str]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[TextShell]:
    yield from made(tmp_path / "data", rootfs.make(tmp_path / "tree"))


# strace's side


def traced(path: Path) -> list[Line]:
    """(call, arguments, result) of one process, as far as it makes a container."""
    found = []
    for line in path.read_text(errors="surrogateescape").splitlines():
        match = re.match(r"(\w+)\((.*)\)\s+= (-?\w+)(?:<[^>]*>)?(?: (E[A-Z0-9]+))?.*$", line)
        if not match:
            continue
        name, arguments, result, error = match.groups()
        about_groups = name in ("mkdir", "write") and any(f"{quote}{place}" in arguments
                        for place in OF_GROUPS for quote in ('"', "<"))  # fmt: skip
        if name not in MAKING and not about_groups:
            continue
        if name == "prlimit64" and "NULL, {" in arguments:  # it only asks
            continue
        found.append((name, plain(name, arguments), f"-1 {error}" if error else result))
    return found


def plain(name: str, arguments: str) -> str:
    """The arguments without what differs between two writings of the same."""
    if name.startswith("clone"):
        return ""
    text = re.sub(r"(\b\d+|AT_FDCWD)<[^>]*>", r"\1", arguments)
    text = re.sub(r" /\* (MS|MOUNT)_\?\?\? \*/", "", text)
    text = re.sub(r"filter=\w+", "filter=...", text)
    text = re.sub(r"0x[0-9a-f]+ (/\* \d+ vars? \*/)", r"\1", text)
    if name == "capget":
        return ""
    # each table of names has an order of its own
    text = re.sub(r"[\w<]+(?:\|[\w<]+)+", lambda m: "|".join(sorted(m[0].split("|"))), text)
    if name == "write":  # the beginning is enough
        return text[:60]
    return text


# ours


def told(stderr: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    return [entry for entry in found if "without" not in entry]


def lines(calls: list[dict[str, Any]], process: str) -> list[Line]:
    return [
        (call["call"], plain(call["call"], ", ".join(call["args"])), call["result"])
        for call in calls
        if call["process"] == process and (
            call["call"] in MAKING
            or (call["call"] in ("mkdir", "write")
                and any(path.startswith(OF_GROUPS)
                        for path in (*call["paths"].values(), call["args"][0].strip('"'))))
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "--user", "app", "--read-only"],
        ["--privileged", "--tmpfs", "/scratch", "-v", "/etc:/outer:ro"],
        ["--without", "pid,uts,mnt,seccomp,caps", "--sysctl", "net.ipv4.ip_forward=1"],
        ["--security-opt", "no-new-privileges", "--oom-score-adj", "500"],
        ["-t"],
    ],
    ids=["plain", "limits", "privileged", "walls", "settings", "terminal"],
)
def test_it_reports_what_strace_sees(shell: TextShell, tmp_path: Path, options: list[str]) -> None:
    shell.run("true")  # what is made once for all containers is there
    prefix = tmp_path / "trace"
    strace = ("strace", "-ff", "-y", "-s", "5000", "-o", str(prefix))
    done = shell.full("run", "--rm", "--explain=json", "--network", "none", *options, "--rootfs",
                      shell.tree, "/bin/true", under=strace)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    calls = told(done.stderr)
    pids = {call["process"]: call["pid"] for call in calls}
    assert set(pids) == {"dockyard", "monitor", "init"}

    init = traced(Path(f"{prefix}.{pids['init']}"))
    assert lines(calls, "init") == until_program(init)

    # what the monitor does when the program runs makes no container; sockets are its own
    monitor = [line for line in traced(Path(f"{prefix}.{pids['monitor']}")) if line[0] != "umask"]
    reported = [line for line in lines(calls, "monitor") if line[0] != "umask"]
    assert len(reported) > 10
    assert reported == monitor[: len(reported)]
    rest = {name for name, *_ in monitor[len(reported) :]}
    assert rest <= {"mkdir", "write", "openat2", "umount2"}

    # the command: from where it begins to watch, which is when it has forked the printer
    command = traced(Path(f"{prefix}.{pids['dockyard']}"))
    forks = [index for index, line in enumerate(command) if line[0] == "clone"][-2:]
    assert len(forks) == 2
    theirs = [line for line in command[forks[0] + 1 : forks[1] + 1] if line[0] != "umask"]
    assert lines(calls, "dockyard")[: len(theirs)] == theirs


def test_a_bridge_network_too(shell: TextShell, tmp_path: Path) -> None:
    """Requests over netlink, by their types; the machine's rules are libnftables' affair."""
    prefix = tmp_path / "trace"
    strace = ("strace", "-ff", "-s", "200", "-e", "trace=sendto,setns", "-o", str(prefix))
    done = shell.full("run", "--rm", "--explain=json", "--rootfs", shell.tree, "true",
                      under=strace)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    calls = [call for call in told(done.stderr) if call["process"] == "dockyard"]
    reported = [
        f"{call['args'][1].split('=')[1].split(',')[0]} {call['args'][2]}"
        for call in calls if call["call"] == "sendto"
    ]  # fmt: skip
    trace = Path(f"{prefix}.{calls[0]['pid']}").read_text()
    found = re.findall(r"nlmsg_len=(\d+), nlmsg_type=(RTM_\w+|0x1[0-9a-f]\b)", trace)
    seen = [f"{ROUTE_MESSAGES.get(kind, kind)} {size}" for size, kind in found]
    assert seen[: len(reported)] == reported
    assert sum(line.startswith("RTM_NEWLINK") for line in reported) >= 3
    assert [call["args"][1] for call in calls if call["call"] == "setns"] == (
        re.findall(r"^setns\(\d+, (\w+)\)", trace, re.MULTILINE)
    )  # fmt: skip
    assert any(call["isolates"] and "cable" in call["isolates"] for call in calls)


def until_program(found: list[Line]) -> list[Line]:
    """Up to the second exec: the first becomes the step that keeps the host's file away."""
    places = [index for index, line in enumerate(found) if line[0].startswith("exec")]
    assert len(places) == 2
    assert found[places[1]][2] == "0"
    return found[: places[1] + 1]


def test_lines_for_a_lecture(shell: TextShell) -> None:
    done = shell.run("--explain", "/bin/echo", "hello")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    told_ = done.stderr
    assert "\x1b" not in told_  # no terminal, no colours
    order = ["unshare(CLONE_NEWPID) = 0", "pid_namespaces(7)", "init (process ", "CLONE_NEWNET",
             "mount_namespaces(7)", "ROOT/proc", "pivot_root(", "umount2(", "capabilities(7)",
             'execve("/bin/echo", ["/bin/echo", "hello"]', "more calls that only prep"]  # fmt: skip
    places = [told_.index(each) for each in order]
    assert places == sorted(places)
    # thirty capabilities are dropped, and what that means is said once
    assert told_.count("PR_CAPBSET_DROP") > 20
    assert told_.count("rights: gone for good") == 1
    assert "openat2(" not in told_
    assert "openat2(" in shell.run("--explain=full", "true").stderr


def test_colours_on_a_terminal_only(shell: TextShell) -> None:
    words = ("run", "--rm", "--explain", "--network", "none", "--rootfs", shell.tree, "true")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        console = shell.console(*words, **variables)
        try:
            assert console.code() == 0
        finally:
            console.close()
        assert (b"\x1b[1mpivot_root" in console.seen) == coloured
        assert b"pivot_root" in console.seen


def test_each_call_has_a_manual_page_and_most_a_meaning(shell: TextShell) -> None:
    calls = told(shell.run("--explain=json", "true").stderr)
    assert len(calls) > 150
    for call in calls:
        assert set(call) == {"pid", "process", "call", "args", "result", "failed", "paths",
                             "isolates", "man"}  # fmt: skip
        assert all(re.fullmatch(r"[a-z0-9_]+\([1-8]\)", page) for page in call["man"])
        assert call["man"]
    walls = {call["call"] for call in calls if call["isolates"]}
    assert walls >= {"unshare", "mount", "pivot_root", "umount2", "seccomp", "capset", "prctl",
                     "sethostname", "mkdir", "write", "setresuid", "execve", "keyctl"}  # fmt: skip


def test_a_start_that_fails_is_told_as_it_was(shell: TextShell) -> None:
    rootfs.script(Path(shell.tree), "/bin/orphan", "#!/no/such/interpreter\n")
    done = shell.run("--explain=json", "/bin/orphan")
    assert done.returncode == 127
    last = [call for call in told(done.stderr) if call["process"] == "init"][-1]
    assert (last["call"], last["args"][0], last["failed"]) == ("execve", '"/bin/orphan"', True)
    done = shell.run("--explain=json", "nowhere")
    assert done.returncode == 127
    assert told(done.stderr)


def test_the_program_gets_nothing_of_it(shell: TextShell) -> None:
    done = shell.run("--explain=json", "ls", "/proc/self/fd")
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3: the folder that ls reads


def test_a_container_in_the_background_is_explained_until_it_runs(shell: TextShell) -> None:
    done = shell.full("run", "-d", "--explain=json", "--name", "late", "--network", "none",
                      "--rootfs", shell.tree, "sleep", "1000")  # fmt: skip
    assert done.returncode == 0
    last = told(done.stderr)[-1]
    assert (last["call"], last["args"][1], last["result"]) == (
        "execve", '["sleep", "1000"]', "0"
    )  # fmt: skip
    assert shell.full("exec", "late", "true").stderr == ""


def test_a_reader_who_leaves_stops_nobody(shell: TextShell) -> None:
    words = f"{PROGRAM[0]} run --rm --explain --network none --rootfs {shell.tree} echo done"
    done = subprocess.run(f"{words} 2>&1 >/dev/null | head -1; echo ${{PIPESTATUS[0]}}", shell=True,
                          executable="/bin/bash", capture_output=True, text=True, env=shell.env,
                          timeout=60)  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0"


def test_a_secret_in_a_variable_is_not_told(shell: TextShell) -> None:
    done = shell.run("--explain=json", "-e", "TOKEN=planted-7f3a", "true")
    assert "planted-7f3a" not in done.stderr
    assert "planted-7f3a" not in shell.run("--explain=full", "-e", "T=planted-7f3a", "true").stderr


def test_wrong_forms_are_refused(shell: TextShell) -> None:
    done = shell.run("--explain=xml", "true")
    assert done.returncode == 125
    assert "--explain" in done.stderr
    assert shell.full("create", "--explain", "--rootfs", shell.tree, "true").returncode == 125


def test_it_costs_nothing_where_nobody_asks(shell: TextShell) -> None:
    """No module of it is loaded, and no socket of it is there."""
    script = (
        "import sys; from dockyard.cli import main; sys.argv = ['dockyard', *sys.argv[1:]]\n"
        "import dockyard.base.leave as leave\n"
        "leave.leave = sys.exit\n"
        "import atexit; atexit.register(lambda: print(*sys.modules))\n"
        "sys.exit(main.main())"
    )
    words = ["run", "--rm", "--network", "none", "--rootfs", shell.tree, "true"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True,
                          env=shell.env, timeout=60)  # fmt: skip
    assert "dockyard.cli.run" in done.stdout
    assert "recording" not in done.stdout
    assert "explain" not in done.stdout

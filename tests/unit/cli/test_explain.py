"""What a recorded call becomes: strace's notation, its meaning, lines and JSON. Flags' names and
values: the kernel's uapi headers; notation: strace(1) 6.1 of the same calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.cli.explain.meaning import meaning
from dockyard.cli.explain.notation import text, texts
from dockyard.cli.explain.show import Lecture, Story, as_json

ROOT = f"/data/containers/{'ab' * 32}/rootfs"


@pytest.mark.parametrize(
    ("call", "args", "shown"),
    [
        ("unshare", [0x68020000], "CLONE_NEWNS|CLONE_NEWIPC|CLONE_NEWPID|CLONE_NEWNET"),
        ("mount", ["proc", "/proc/self/fd/15", "proc", 14, None],
         '"proc", "/proc/self/fd/15", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL'),
        ("mount", [None, "/", None, 0x84000, None], 'NULL, "/", NULL, MS_REC|MS_SLAVE, NULL'),
        ("umount2", [".", 2], '".", MNT_DETACH'),
        ("mount_setattr",
         [15, "", 0x9000, {"set": 1, "clear": 0, "propagation": 0x40000, "userns": 0}, 32],
         '15, "", AT_EMPTY_PATH|AT_RECURSIVE, {attr_set=MOUNT_ATTR_RDONLY, attr_clr=0, '
         "propagation=MS_PRIVATE, userns_fd=0}, 32"),
        ("prctl", [24, 21, 0, 0, 0], "PR_CAPBSET_DROP, CAP_SYS_ADMIN"),
        ("prctl", [47, 2, 3, 0, 0], "PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_FOWNER, 0, 0"),
        ("prctl", [1, 9, 0, 0, 0], "PR_SET_PDEATHSIG, SIGKILL"),
        ("umask", [0o22], "022"),
        ("umask", [0], "000"),
        ("write", [7, "c 1:3 rwm"], '7, "c 1:3 rwm", 9'),
        ("mknodat", ["null", 0o20666, 0x103, 15], '15, "null", S_IFCHR|0666, makedev(0x1, 0x3)'),
        ("fchownat", ["null", 0, 0, 15, False], '15, "null", 0, 0, AT_SYMLINK_NOFOLLOW'),
        ("symlinkat", ["pts/ptmx", "ptmx", 15], '"pts/ptmx", 15, "ptmx"'),
        ("mkdirat", ["pts", 0o755, 15], '15, "pts", 0755'),
        ("setgroups", [[1, 20]], "2, [1, 20]"),
        ("prlimit64", [7, [1024, -1]],
         "0, RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=RLIM64_INFINITY}, NULL"),
        ("execve", ["/bin/true", ["true"], {"variables": 1}],
         '"/bin/true", ["true"], /* 1 var */'),
        ("clone3", [{"flags": 0x20000000, "exit_signal": 17}, 88],
         "{flags=CLONE_NEWPID, exit_signal=SIGCHLD}, 88"),
        ("frobnicate", [1, "x", None, [2]], '1, "x", NULL, [2]'),
    ],
)  # fmt: skip
def test_notation(call: str, args: list[Any], shown: str) -> None:
    assert ", ".join(texts(call, args)) == shown


@pytest.mark.parametrize(
    ("call", "args", "shown"),
    [
        ("prctl", [4, 77, 0, 0, 0], "4, 77, 0, 0, 0"),
        ("mount", ["only"], '"only"'),
        ("seccomp", [1, 0, "..."], '1, 0, "..."'),
        ("prlimit64", [99, [1, 2]], "99, [1, 2]"),
        ("clone3", ["..."], '"..."'),
        ("fsconfig", [3, 44, "x", None, 0], '3, 44, "x", NULL, 0'),
    ],
)
def test_arguments_that_nobody_expected_are_told_as_they_are(
    call: str, args: list[Any], shown: str
) -> None:
    assert ", ".join(texts(call, args)) == shown
    assert meaning(call, args, {}).pages


def test_what_an_argument_holds_steers_no_terminal() -> None:
    assert text('\x1b[2J"\n\\é') == '"\\33[2J\\"\\n\\\\\\303\\251"'
    assert text("a" * 100, 80) == f'"{"a" * 80}"...'


@pytest.mark.parametrize(
    ("call", "args", "paths", "word", "page"),
    [
        ("unshare", [0x40000000], {}, "network", "network_namespaces(7)"),
        ("setns", [3, 0x8000000], {}, "joins", "ipc_namespaces(7)"),
        ("mount", ["overlay", "/x", "overlay", 0, "l"], {}, "root", "mount(8)"),
        ("mount", ["/proc/self/fd/7", "/proc/self/fd/8", None, 0x1000, None], {"7": "/dev/null"},
         "hidden", "mount(2)"),
        ("write", [3, "1"], {"3": "/sys/fs/cgroup/pids/x/pids.max"}, "processes, at most",
         "cgroups(7)"),
        ("write", [3, "0"], {"3": "/sys/fs/cgroup/x/cgroup.procs"}, "puts itself", "cgroups(7)"),
        ("write", [3, "1"], {"3": "/proc/sys/net/ipv4/ip_forward"}, "kernel setting", "sysctl(8)"),
        ("prctl", [38, 1, 0, 0, 0], {}, "set-uid", "prctl(2)"),
        ("pivot_root", [".", "."], {}, "root", "pivot_root(2)"),
    ],
)  # fmt: skip
def test_meanings(call: str, args: list[Any], paths: dict[str, str], word: str, page: str) -> None:
    found = meaning(call, args, paths)
    assert word in found.isolates
    assert page in found.pages
    assert found.pages[0] == f"{call}(2)"


def story() -> list[tuple[int, dict[str, Any]]]:
    """A container's making, cut short."""
    return [
        (10, {"call": "clone", "args": [], "result": 11}),
        (11, {"call": "unshare", "args": [0x20000000], "result": 0}),
        (11, {"call": "clone", "args": [], "result": 12}),
        (12, {"call": "openat2", "args": [3, "proc", {"flags": 0, "mode": 0, "resolve": 0}, 24],
              "result": 4, "paths": {"3": ROOT}}),
        (12, {"call": "mount", "args": ["proc", "/proc/self/fd/4", "proc", 0, None], "result": 0,
              "paths": {"4": f"{ROOT}/proc"}}),
        (12, {"call": "execve", "args": ["/proc/self/fd/4", ["/bin/sh", "sh", "-c"],
                                         {"variables": 2}], "result": None}),
        (11, {"call": "started", "args": [12], "result": None}),
    ]  # fmt: skip


def test_processes_are_named_and_the_last_exec_is_told_by_the_monitor() -> None:
    told = Story(10)
    calls = [told.tell(pid, message) for pid, message in story()]
    assert [call.process for call in calls] == [
        "dockyard", "monitor", "monitor", "init", "init", "init", "init"
    ]  # fmt: skip
    last = calls[-1]
    assert (last.pid, last.name, last.args, last.result) == (
        12, "execve", ['"/bin/sh"', '["sh", "-c"]', "/* 2 vars */"], "0"
    )  # fmt: skip
    document = json.loads(as_json(calls[4]))
    assert document["isolates"].startswith("its /proc")
    assert document["man"] == ["mount(2)", "proc(5)"]
    assert json.loads(as_json(calls[3]))["isolates"] is None


def test_a_child_that_is_faster_than_its_parent_waits_to_be_named() -> None:
    first, *others = story()
    second, third, *of_init = others
    told = Story(10)
    shuffled = [second, *of_init[:2], first, third, *of_init[2:]]
    calls = [call for pid, message in shuffled for call in told.follow(pid, message)]
    assert [(call.pid, call.process) for call in calls] == [
        (10, "dockyard"), (11, "monitor"), (11, "monitor"), *[(12, "init")] * 4
    ]  # fmt: skip
    assert list(told.rest()) == []
    lonely = Story(10)
    assert list(lonely.follow(99, second[1])) == []
    assert [call.process for call in lonely.rest()] == ["init"]


def test_a_failed_exec_is_told_with_its_reason() -> None:
    told = Story(10)
    for pid, message in story()[:-1]:
        told.tell(pid, message)
    last = told.tell(11, {"call": "started", "args": [12], "error": "exec: no such file"})
    assert (last.name, last.failed, last.result) == ("execve", True, "-1 exec: no such file")


def test_several_namespaces_are_explained_one_a_line() -> None:
    lines = list(Lecture(colour=False, full=False).lines(
        Story(10).tell(10, {"call": "unshare", "args": [0x0C000000], "result": 0})
    ))  # fmt: skip
    assert lines[1:] == [
        "  unshare(CLONE_NEWUTS|CLONE_NEWIPC) = 0",
        "      message queues, semaphores and shared memory",
        "      host name and domain name   unshare(2) ipc_namespaces(7) uts_namespaces(7)",
    ]


@pytest.mark.parametrize(("full", "colour"), [(False, False), (True, False), (False, True)])
def test_lines(full: bool, colour: bool) -> None:
    told, lecture = Story(10), Lecture(colour, full)
    lines = [line for pid, message in story() for line in lecture.lines(told.tell(pid, message))]
    lines += lecture.end()
    text_ = "\n".join(lines)
    assert ("openat2" in text_) == full
    assert ("1 more calls that only prepare" in text_) == (not full)
    assert ("\x1b[" in text_) == colour
    assert "4 is ROOT/proc" in text_
    assert "init (process 12)" in text_

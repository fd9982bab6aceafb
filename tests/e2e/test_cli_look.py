"""What `dockyard` says of containers: top, stats, diff, port, events, export. The expectations are
what docker 28 with its daemon printed for the same containers."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import tarfile

import pytest

from helpers.program import PROGRAM, Shell

pytestmark = pytest.mark.root

CHANGES = ("mkdir /new; echo x > /new/f; rm /etc/passwd; touch /tmp/t; rm -rf /bin/vi /var; "
           "mkdir /var; touch /var/n; echo ready; exec sleep 1000")  # fmt: skip


def changed(shell: Shell, name: str = "web") -> None:
    """A container that has changed its root."""
    shell.run("-d", "--name", name, "sh", "-c", CHANGES)
    while "ready" not in shell("logs", name):
        pass


def test_diff(shell: Shell) -> None:
    changed(shell)
    assert sorted(shell("diff", "web").splitlines()) == sorted(
        ["C /etc", "D /etc/passwd", "C /var", "A /var/n", "C /tmp", "A /tmp/t", "C /bin",
         "D /bin/vi", "A /new", "A /new/f"]
    )  # fmt: skip
    shell("create", "--name", "fresh", "--rootfs", shell.tree, "true")
    assert shell("diff", "fresh") == ""
    done = shell.full("diff", "nope")
    assert (done.returncode, done.stderr) == (1, b"dockyard: No such container: nope\n")


def test_what_is_only_mounted_on_is_no_change(shell: Shell) -> None:
    shell.run("--name", "web", "--tmpfs", "/scratch", "true")
    assert shell("diff", "web") == "A /scratch\n"


def test_an_opaque_folder_has_lost_what_was_in_it(shell: Shell) -> None:
    shell.run("--name", "web", "sh", "-c", "cp /bin/busybox /tmp; cd /tmp; ./busybox rm -r /bin; "
              "./busybox mkdir /bin; ./busybox touch /bin/sh /bin/new")  # fmt: skip
    found = shell("diff", "web").splitlines()
    assert {"C /bin", "C /bin/sh", "A /bin/new", "D /bin/vi", "D /bin/busybox"} <= set(found)


def test_names_of_a_container_do_not_steer_the_terminal(shell: Shell) -> None:
    shell.run("--name", "web", "sh", "-c", "touch '/tmp/a\x1b[2Jb'")
    assert shell("diff", "web") == "C /tmp\nA /tmp/a\\x1b[2Jb\n"


def test_top(shell: Shell) -> None:
    changed(shell)
    heads, row = shell("top", "web").splitlines()
    assert heads == (
        "UID                 PID                 PPID                C              "
        "     STIME               TTY                 TIME                CMD"
    )
    assert row.startswith("root                ")
    assert row.endswith("sleep 1000")
    pid = shell("inspect", "-f", "{{.State.Pid}}", "web").strip()
    assert shell("top", "web", "-o", "pid,comm").splitlines() == [
        "PID                 COMMAND",
        f"{pid.ljust(20)}sleep",
    ]
    done = shell.full("top", "web", "-o", "comm")
    assert (done.returncode, done.stderr) == (
        1, b"dockyard: Couldn't find PID field in ps output\n"
    )  # fmt: skip
    shell("stop", "-t", "0", "web")
    done = shell.full("top", "web")
    assert done.returncode == 1
    assert re.fullmatch(rb"dockyard: Container [0-9a-f]{64} is not running\n", done.stderr)


def test_stats(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "-m", "64m", "sh", "-c", "while :; do :; done")
    heads, row = shell("stats", "--no-stream").splitlines()
    assert re.split(r" {3,}", heads) == ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT",
                                         "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]  # fmt: skip
    cells = re.split(r" {3,}", row)
    assert cells[1] == "web"
    assert 1.0 < float(cells[2].removesuffix("%")) < 400.0
    assert re.fullmatch(r"[0-9.]+[KM]iB / 64MiB", cells[3])
    assert cells[5] == "0B / 0B"
    assert cells[7] == "1"
    found = json.loads(shell("stats", "--no-stream", "--format", "json", "web"))
    assert sorted(found) == ["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name",
                             "NetIO", "PIDs"]  # fmt: skip
    assert (found["Container"], len(found["ID"])) == ("web", 12)
    shell("stop", "-t", "0", "web")
    assert shell("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}}",
                 "web") == "web 0.00% 0B / 0B\n"  # fmt: skip
    assert len(shell("stats", "--no-stream").splitlines()) == 1
    assert len(shell("stats", "--no-stream", "-a").splitlines()) == 2
    assert shell.full("stats", "--no-stream", "nope").returncode == 1


def test_stats_that_go_on_draw_over_themselves(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "sleep", "1000")
    with subprocess.Popen([*PROGRAM, "stats", "web"], stdout=subprocess.PIPE, env=shell.env) as run:
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(4)]
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 130
    assert lines[0].startswith(b"\x1b[HCONTAINER ID")
    assert lines[2].startswith(b"\x1b[J\x1b[HCONTAINER ID")


def test_port(shell: Shell) -> None:
    shell("run", "-d", "--name", "web", "-p", "80", "-p", "127.0.0.1::53/udp", "--rootfs",
          shell.tree, "sleep", "1000")  # fmt: skip
    rows = shell("port", "web").splitlines()
    assert any(re.fullmatch(r"80/tcp -> 0\.0\.0\.0:\d+", row) for row in rows)
    assert re.fullmatch(r"0\.0\.0\.0:\d+\n", shell("port", "web", "80"))
    done = shell.full("port", "web", "81")
    assert (done.returncode, done.stderr) == (
        1, b"dockyard: No public port '81' published for web\n"
    )  # fmt: skip


def test_export(shell: Shell) -> None:
    shell.run("--name", "web", "-v", "data:/data", "sh", "-c",
              "rm /etc/passwd; ln -s /etc/group /link; echo in > /data/f; echo x > /.wh.name; "
              "echo x > /first; ln /first /second; chown 1000:1000 /second; "
              "mkfifo -m 640 /pipe")  # fmt: skip
    done = shell.full("export", "web")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        found = {member.name: member for member in tar.getmembers()}
        hard = found["second"]
        assert (hard.islnk(), hard.linkname) == (True, "first")
        assert tar.extractfile(found[".wh.name"]).read() == b"x\n"  # type: ignore[union-attr]
    assert found["first"].uid == 1000
    assert (found["link"].issym(), found["link"].linkname) == (True, "/etc/group")
    assert (found["pipe"].isfifo(), found["pipe"].mode) == (True, 0o640)
    assert "etc/passwd" not in found
    assert "etc/group" in found
    assert found["bin/busybox"].isfile()
    assert found["data"].isdir()
    assert "data/f" not in found
    target = shell.root.parent / "root.tar"
    shell("export", "-o", str(target), "web")
    assert target.read_bytes() == done.stdout
    assert shell("run", "--rm", "--network", "none", "--rootfs", str(target), "cat",
                 "/second") == "x\n"  # fmt: skip
    assert shell.full("export", "-o", str(target), "nope").returncode == 1
    assert target.read_bytes() == done.stdout


def actions(text: str) -> list[str]:
    return [line.split(" (")[0].split(" ", 1)[1].rsplit(" ", 1)[0] for line in text.splitlines()]


def test_events(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "-l", "app=shop", "sleep", "1000")
    shell("pause", "web")
    shell("unpause", "web")
    shell("rename", "web", "site")
    shell("stop", "-t", "0", "site")
    shell("rm", "site")
    text = shell("events", "--since", "1h", "--until", "0s")
    assert actions(text) == [
        f"container {action}" for action in
        ("create", "start", "pause", "unpause", "rename", "kill", "kill", "die", "stop", "destroy")
    ]  # fmt: skip
    first = text.splitlines()[0]
    assert re.fullmatch(r"\S+T\S+(Z|[+-]\d\d:\d\d) container create [0-9a-f]{64} \(app=shop, image="
                        rf"{re.escape(shell.tree)}, name=web\)", first)  # fmt: skip
    words = ("events", "--since", "1h", "--until", "0s", "--filter")
    died = json.loads(shell(*words, "event=die", "--format", "json"))
    assert died["Type"] == "container"
    assert died["Actor"]["Attributes"]["exitCode"] == "137"
    assert (died["status"], died["id"]) == ("die", died["Actor"]["ID"])
    assert died["timeNano"] // 10**9 == died["time"]
    assert shell(*words, "event=rename", "--format", "{{.Actor.Attributes.oldName}}") == "/web\n"
    assert len(shell(*words, "label=app=shop").splitlines()) == 10
    assert shell(*words, "container=other") == ""
    done = shell.full(*words, "colour=red")
    assert (done.returncode, b"invalid filter 'colour'" in done.stderr) == (1, True)
    assert shell.full("events", "--since", "bogus", "--until", "0s").returncode == 1


def test_events_are_followed_an_end_too_that_nobody_waits_for(shell: Shell) -> None:
    # what has happened before it looks for the first time is told too: the container may be fast
    words = [*PROGRAM, "events", "--since", "1h", "--format", "{{.Action}}"]
    shell("ps")
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=shell.env, text=True) as run:
        assert run.stdout is not None
        shell.run("-d", "--name", "first", "sleep", "0.1")
        seen = []
        while "die" not in seen:
            seen.append(run.stdout.readline().strip())
            assert seen[-1], seen
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 130
    assert seen[-1] == "die"


def test_commands_have_events_too(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "sleep", "1000")
    assert shell.full("exec", "web", "sh", "-c", "exit 4").returncode == 4
    words = ("events", "--since", "1h", "--until", "0s", "--format")
    lines = shell(*words, "{{.Action}}|{{.Actor.Attributes.exitCode}}").splitlines()
    assert lines[-3:] == ["exec_create: sh -c exit 4|", "exec_start: sh -c exit 4|", "exec_die|4"]
    found = shell(*words, "{{.Actor.Attributes.execID}}", "--filter", "event=exec_die")
    assert re.fullmatch(r"[0-9a-f]{64}\n", found)

"""The program as a person uses it: `dockyard run`, `ps`, `exec` and the rest, terminals too."""

from __future__ import annotations

import json
import signal
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from dockyard.base.aio.now import pause
from helpers import leaks
from helpers.program import PROGRAM, Shell, Terminal

pytestmark = pytest.mark.root


def test_streams_and_exit_codes(shell: Shell) -> None:
    done = shell.run("--rm", "-i", "sh", "-c", "cat; echo bad >&2; exit 3", stdin=b"typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"typed\n", b"bad\n")
    assert shell("ps", "-aq") == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_descriptors_that_the_caller_has_closed(shell: Shell, tmp_path: Path, closed: str) -> None:
    words = f"run --rm -i --network none --rootfs {shell.tree} sh -c 'cat; echo out; exit 4'"
    done = subprocess.run(f"{PROGRAM[0]} {words} {closed}", shell=True, env=shell.env,
                          stdin=subprocess.DEVNULL, capture_output=True)  # fmt: skip
    assert done.returncode == 4
    assert done.stdout == (b"" if ">&- " in f"{closed} ".replace("2>&-", "") else b"out\n")
    assert done.stderr == b""
    assert shell("ps", "-aq") == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nope"], 127, "executable file not found in $PATH"),
        (["/etc/passwd"], 126, "permission denied"),
        (["-m", "1k", "true"], 125, "Minimum memory limit allowed is 6MB"),
        (["--user", "nobody-here", "true"], 125, "no matching entries in passwd file"),
        (["--network", "nowhere", "true"], 125, "network nowhere not found"),
        (["--workdir", "here", "true"], 125, "absolute path"),
        ([], 125, "no command specified"),
    ],
)
def test_exit_codes_say_whose_fault_it_was(
    shell: Shell, words: list[str], code: int, message: str
) -> None:
    done = shell.run("--rm", *words)
    assert done.returncode == code
    assert done.stderr.decode().startswith("dockyard: ")
    assert message in done.stderr.decode()
    assert shell("ps", "-aq") == ""


def test_an_image_that_is_not_there(shell: Shell) -> None:
    done = shell.full("run", "--pull", "never", "nosuch/image", "true")
    assert done.returncode == 125
    assert b"nosuch/image" in done.stderr
    done = shell.full("run", "--rootfs", "/no/such/folder", "true")
    assert (done.returncode, b"no such directory" in done.stderr) == (125, True)


def test_a_life_in_the_background(shell: Shell) -> None:
    made = shell("run", "-d", "--name", "web", "--network", "none", "-l", "app=web", "--rootfs",
                 shell.tree, "sh", "-c", "echo started; exec sleep 100").strip()  # fmt: skip
    assert len(made) == 64
    assert shell("ps", "--no-trunc", "-q") == made + "\n"
    lines = shell("ps").splitlines()
    assert lines[0].split("  ")[0] == "CONTAINER ID"
    assert lines[1].startswith(made[:12])
    assert shell("ps", "--filter", "label=app=web", "--format", "{{.Names}}") == "web\n"
    assert json.loads(shell("ps", "--output", "json"))[0]["State"] == "running"
    assert shell("exec", "web", "echo", "hi") == "hi\n"
    assert shell.full("exec", "web", "false").returncode == 1
    assert shell.full("exec", "web", "nope").returncode == 127
    assert shell("exec", "-i", "-e", "A=1", "-w", "/tmp", "web", "sh", "-c", "cat; pwd; echo $A",
                 stdin=b"in\n") == "in\n/tmp\n1\n"  # fmt: skip
    assert shell("inspect", "-f", "{{.State.Status}} {{.Config.Labels}}", "web") == (
        "running map[app:web]\n"
    )
    shell("rename", "web", "site")
    assert shell("stop", "-t", "0", "site") == "site\n"
    assert "Exited (137)" in shell("ps", "-a")
    assert shell.full("exec", "site", "true").returncode == 1
    assert shell("start", "site") == "site\n"
    assert shell("kill", "-s", "KILL", "site") == "site\n"
    assert shell("wait", "site") == "137\n"
    assert shell("logs", "site") == "started\nstarted\n"
    assert shell("logs", "--tail", "1", "-t", "site").endswith("Z started\n")
    assert shell("rm", "site") == "site\n"
    done = shell.full("inspect", "site")
    assert (done.returncode, done.stdout) == (1, b"[]\n")
    assert done.stderr == b"dockyard: No such object: site\n"


def test_a_tar_is_a_root_too(shell: Shell, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(Path(shell.tree, "bin/busybox"), "bin/busybox")
    words = ("run", "--rm", "--network", "none", "--rootfs", str(tmp_path / "root.tar"))
    for _ in range(2):
        assert shell(*words, "/bin/busybox", "echo", "from a tar") == "from a tar\n"
    assert "/bin/busybox" not in shell("images")


def test_b01_a_tar_that_climbs_out_is_refused(shell: Shell, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(__file__, "../../../../climbed")
    before = leaks.tree_hash(tmp_path)
    done = shell.full("run", "--rm", "--rootfs", str(tmp_path / "root.tar"), "true")
    assert done.returncode == 125
    assert done.stderr.startswith(b"dockyard: ")
    assert not list(tmp_path.rglob("climbed")), before


def test_an_image_says_what_runs(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(Path(shell.tree, "bin/busybox").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "passwd").write_text("app:x:1000:1000::/home/app:/bin/sh\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY passwd /etc/passwd\nCOPY passwd /seed/file\n"
        "ENV GREETING=hello\nLABEL made=here\nEXPOSE 80\nVOLUME /seed\nWORKDIR /srv\nUSER app\n"
        'ENTRYPOINT ["/bin/busybox"]\nCMD ["sh", "-c", "echo $GREETING $HOME; pwd; id -u"]\n'
    )
    shell("build", "-t", "demo", str(tmp_path))
    words = ("run", "--rm", "--network", "none")
    assert shell(*words, "demo") == "hello /home/app\n/srv\n1000\n"
    assert shell(*words, "demo", "cat", "/seed/file") == (tmp_path / "passwd").read_text()
    changed = shell(
        *words, "-u", "0", "-e", "GREETING=hi", "--entrypoint", "/bin/busybox", "demo", "env"
    )
    assert {"GREETING=hi", "HOME=/root"} <= set(changed.split())
    shell("run", "-d", "--name", "web", "--network", "none", "demo", "sleep", "100")
    assert shell("ps", "--filter", "ancestor=demo", "--filter", "label=made=here",
                 "--filter", "expose=80", "--format",
                 "{{.Names}}|{{.Ports}}") == "web|\n"  # fmt: skip
    shell("rmi", "-f", "demo")  # only the name goes: a container has the image
    shell("stop", "-t", "0", "web")
    shell("start", "web")
    assert shell("exec", "web", "/bin/busybox", "id", "-u") == "1000\n"
    image = shell("inspect", "-f", "{{.Image}}", "web").strip()
    shell("rm", "-fv", "web")
    shell("rmi", image)
    assert shell("volume", "ls", "-q") == ""


def test_a_published_port_answers(shell: Shell) -> None:
    shell("run", "-d", "--name", "web", "-P", "--expose", "80", "--rootfs", shell.tree, "sh", "-c",
          "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www")  # fmt: skip
    form = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    port = shell("inspect", "-f", form, "web").strip()
    assert f"0.0.0.0:{port}->80/tcp" in shell("ps")
    address = f"http://127.0.0.1:{port}/"
    for _ in range(50):  # its program needs a moment
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.read() == b"page\n"
                break
        except OSError:
            pause(0.05)
    else:
        pytest.fail("the port does not answer")
    second = shell.full("run", "-d", "-p", f"{port}:80", "--rootfs", shell.tree, "true")
    assert second.returncode == 125
    assert b"port is already allocated" in second.stderr


def test_volumes_by_name(shell: Shell) -> None:
    assert shell("volume", "create", "data") == "data\n"
    shell.run("--name", "one", "-v", "data:/data", "-v", "/anonymous", "sh", "-c", "echo x>/data/f")
    assert len(shell("volume", "ls", "-q").split()) == 2
    done = shell.full("volume", "rm", "data")
    assert (done.returncode, b"volume is in use" in done.stderr) == (1, True)
    shell("rm", "-v", "one")
    assert shell("volume", "ls", "-q") == "data\n"
    assert shell.run("--rm", "-v", "data:/d:ro", "cat", "/d/f").stdout == b"x\n"
    shell("volume", "rm", "data")


def test_a_terminal(shell: Shell) -> None:
    words = ("--rm", "-it", "--name", "tty", "--network", "none", "--rootfs", shell.tree)
    term = Terminal(shell, "run", *words, "sh")
    term.expect(b"# ")
    term.type(b"tty; echo TERM=$TERM\r")
    term.expect(b"/dev/pts/0")
    term.expect(b"TERM=xterm")
    term.resize(33, 101)
    term.type(b"sleep 0.1; stty size\r")
    term.expect(b"33 101")
    term.type(b"sh -c 'echo $((40+2)); exec cat'\r")
    term.expect(b"42\r\n")  # the shell reads no more
    term.type(b"\x03")  # the terminal inside makes a signal of it
    term.expect(b"# ")
    term.type(b"echo $((6*8))\r")
    term.expect(b"48")
    term.type(b"exit 5\r")
    assert term.code() == 5
    assert shell("ps", "-aq") == ""


def test_the_detach_keys_leave_it_running(shell: Shell) -> None:
    term = Terminal(shell, "run", "-it", "--name", "tty", "--network", "none", "--rootfs",
                    shell.tree, "sh")  # fmt: skip
    term.expect(b"# ")
    term.type(b"\x10\x11")
    term.expect(b"read escape sequence")
    assert term.code() == 0
    assert shell("ps", "--format", "{{.Names}} {{.State}}") == "tty running\n"
    again = Terminal(shell, "attach", "tty")
    again.type(b"echo $((6*7)); exit 4\r")
    again.expect(b"42")
    assert again.code() == 4
    assert shell("wait", "tty") == "4\n"


def test_a_terminal_in_exec(shell: Shell) -> None:
    shell.run("-d", "--name", "box", "sleep", "100")
    term = Terminal(shell, "exec", "-it", "box", "sh")
    term.expect(b"# ")
    term.type(b"tty; exit 6\r")
    term.expect(b"/dev/pts/")
    assert term.code() == 6
    done = shell.full("exec", "-it", "box", "sh")
    assert (done.returncode, b"the input device is not a TTY" in done.stderr) == (1, True)


def test_signals_reach_the_program(shell: Shell) -> None:
    words = [*PROGRAM, "run", "--rm", "--network", "none", "--rootfs", shell.tree]
    text = "trap 'echo got it; exit 8' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen([*words, "sh", "-c", text], stdout=subprocess.PIPE, env=shell.env) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGTERM)
        assert run.stdout.read() == b"got it\n"
        assert run.wait(10) == 8


def test_g09_a_command_that_was_killed_leaves_a_container_that_is_collected(shell: Shell) -> None:
    words = [*PROGRAM, "run", "--rm", "-i", "--network", "none", "--rootfs", shell.tree]
    with subprocess.Popen([*words, "sh", "-c", "echo ready; sleep 0.3"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=shell.env) as run:  # fmt: skip
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.kill()
    [container] = shell("ps", "-q").split()
    shell("wait", container)
    assert shell.run("--rm", "true").returncode == 0
    assert shell("ps", "-aq") == ""


@pytest.mark.parametrize("moment", [0.03, 0.045, 0.06, 0.07, 0.08])
def test_g09_a_command_that_was_killed_at_any_moment_leaves_nothing(
    shell: Shell, moment: float
) -> None:
    """Whatever it was doing, the next command finishes or takes back."""
    for name in ("bridge", "none"):
        words = ["run", "--rm", "--network", name, "--rootfs", shell.tree, "sleep", "0.2"]
        run = subprocess.Popen([*PROGRAM, *words], env=shell.env)
        pause(moment)
        run.kill()
        run.wait()
    for container in shell("ps", "-q").split():
        shell("wait", container)
    assert shell.run("--rm", "true").returncode == 0
    assert shell("ps", "-aq") == ""
    assert [*(shell.root / "containers").iterdir()] == []


def test_one_that_vanishes_in_the_background(shell: Shell) -> None:
    made = shell.run("-d", "--rm", "-v", "/anonymous", "sleep", "0.1").stdout.decode().strip()
    shell("wait", made, check=False)
    for _ in range(100):
        if not shell("ps", "-aq"):
            break
        pause(0.05)
    assert shell("ps", "-aq") == ""
    assert shell("volume", "ls", "-q") == ""


def test_many_commands_at_once(shell: Shell) -> None:
    """Names, addresses and rows of node.db are shared by processes that know nothing of each
    other."""
    command = [
        *PROGRAM,
        "run",
        "--rm",
        "-i",
        "--rootfs",
        shell.tree,
        "sh",
        "-c",
        "hostname -i; cat",
    ]
    pipe = subprocess.PIPE
    runs = [subprocess.Popen(command, env=shell.env, stdin=pipe, stdout=pipe, stderr=pipe)
            for _ in range(12)]  # fmt: skip
    addresses = {run.stdout.readline() for run in runs if run.stdout}  # all of them run now
    ended = [(*run.communicate(timeout=60), run.returncode) for run in runs]
    assert ended == [(b"", b"", 0)] * 12
    assert len(addresses) == 12, "each had an address of its own"
    assert shell("ps", "-aq") == ""

"""`dockyard chroot` beside coreutils' chroot(8): same words, same answers, same exit codes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import rootfs

pytestmark = pytest.mark.root
OURS = [str(Path(sys.executable).parent / "dockyard"), "chroot"]
PEER = ["/usr/sbin/chroot"]
BOTH = pytest.mark.parametrize("program", [OURS, PEER], ids=["dockyard", "chroot"])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = rootfs.make(tmp_path_factory.mktemp("tree"))
    found.chmod(0o755)  # it is everybody's "/"
    # not the loader that it names: a dynamic program of the host
    (found / "dynamic").write_bytes(Path("/bin/true").read_bytes())
    (found / "dynamic").chmod(0o755)
    rootfs.script(found, "bin/orphan", "#!/no/such/interpreter\n")
    return found


def call(
    program: list[str], *words: str, stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SHELL": "/bin/sh", **more}
    return subprocess.run([*program, *words], input=stdin, capture_output=True, text=True,
                          env=environment, timeout=30)  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["TREE", "sh", "-c", "exit 5"], 5),
        (["TREE", "nope"], 127),
        (["TREE", "/nope"], 127),
        (["TREE", "/dynamic"], 127),
        (["TREE", "orphan"], 127),
        (["TREE", "/etc/passwd"], 126),
        (["TREE", "/etc/passwd/deeper"], 126),
        (["TREE", "/etc"], 126),
        (["/no/such/folder", "true"], 125),
        (["/etc/passwd", "true"], 125),
        ([], 125),
        (["--frob", "TREE"], 125),
        (["--skip-chdir", "TREE", "true"], 125),
        (["--userspec=nobody-here", "TREE", "true"], 125),
        (["--userspec=1234", "TREE", "true"], 125),
        (["--userspec=app:nogroup-here", "TREE", "true"], 125),
        (["--userspec=+app", "TREE", "true"], 125),
        (["--userspec=4294967296:1", "TREE", "true"], 125),
        (["--groups=extra,nope", "TREE", "true"], 125),
        (["--groups=,", "TREE", "true"], 125),
        (["--", "TREE", "sh", "-c", "exit 6"], 6),
        (["TREE", "sh", "-c", "kill -9 $$"], -9),
    ],
)
def test_exit_codes(program: list[str], words: list[str], code: int, tree: Path) -> None:
    done = call(program, *(str(tree) if word == "TREE" else word for word in words))
    assert done.returncode == code
    assert bool(done.stderr) == (code > 6)
    assert done.stdout == ""


@BOTH
@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], None),
        (["--userspec=app"], "1000 1000 1000 2000"),
        (["--userspec=app:"], "1000 1000 1000 2000"),
        (["--userspec=1000"], "1000 1000 1000 2000"),
        (["--userspec=+1000"], "1000 1000 1000 2000"),
        (["--userspec=app:extra"], "1000 2000 2000"),
        (["--userspec=:extra"], None),
        (["--userspec=55:56"], "55 56 56"),
        (["--userspec=app", "--groups="], "1000 1000 1000"),
        (["--userspec=app", "--groups=extra,7"], "1000 1000 1000 2000 7"),
        (["--groups=extra"], "0 0 0 2000"),
    ],
)
def test_who_it_runs_as(
    program: list[str], options: list[str], shown: str | None, tree: Path
) -> None:
    script = "echo $(id -u) $(id -g) $(id -G)"
    done = call(program, *options, str(tree), "sh", "-c", script)
    assert done.stderr == ""
    expected = shown or call(PEER, *options, str(tree), "sh", "-c", script).stdout.strip()
    assert set(done.stdout.split()) == set(expected.split())
    assert done.stdout.split()[:2] == expected.split()[:2]


def test_a_name_that_only_the_host_knows(tree: Path) -> None:
    """chroot(1) promises both look-ups; the one of coreutils 9.1 forgets the first."""
    done = call(OURS, "--userspec=daemon", str(tree), "sh", "-c", "echo $(id -u) $(id -G)")
    assert done.stdout == "1 1\n"


@BOTH
def test_the_root_the_folder_and_the_variables(program: list[str], tree: Path) -> None:
    done = call(program, str(tree), "sh", "-c", "pwd; cd ..; pwd; ls -d /bin /usr; echo $MARK",
                MARK="kept")  # fmt: skip
    assert done.stdout == "/\n/\n/bin\nkept\n"
    assert "/usr" in done.stderr
    assert call(program, "--skip-chdir", "/", "pwd").stdout == f"{Path.cwd()}\n"


@BOTH
def test_a_shell_where_no_command_is_named(program: list[str], tree: Path) -> None:
    done = call(program, str(tree), stdin="echo flags=$-; exit 9\n")
    assert done.returncode == 9
    assert "i" in done.stdout.partition("flags=")[2].split()[0]


@BOTH
def test_signals_are_as_they_were(program: list[str], tree: Path) -> None:
    """An interpreter ignores SIGPIPE, and what is ignored stays so over an exec: signal(7)."""
    done = call(program, str(tree), "grep", "SigIgn", "/proc/self/status")
    assert done.returncode != 0  # no /proc there: so from outside
    done = call(program, "/", "grep", "SigIgn", "/proc/self/status")
    assert int(done.stdout.split()[1], 16) & (1 << 12 | 1 << 24) == 0


def test_a_shell_that_the_directory_lacks(tree: Path) -> None:
    done = call(OURS, str(tree), stdin="exit 3\n", SHELL="/usr/bin/zsh")
    assert done.returncode == 3


def test_on_a_terminal(tree: Path) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.execve(OURS[0], [*OURS, str(tree)], {"SHELL": "/bin/sh", "PATH": "/bin"})
    os.write(master, b"tty >/dev/null 2>&1; echo code-$((6*7)); exit\n")
    seen = b""
    try:
        while piece := os.read(master, 4096):
            seen += piece
    except OSError:  # the other side has ended
        pass
    _, status = os.waitpid(pid, 0)
    os.close(master)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"code-42" in seen


def test_what_to_do_is_said(tree: Path) -> None:
    assert "loader or interpreter" in call(OURS, str(tree), "/dynamic").stderr
    assert "looked for in PATH" in call(OURS, str(tree), "nope").stderr
    assert "say 1234:GROUP" in call(OURS, "--userspec=1234", str(tree), "true").stderr
    shown = call(OURS, "--help")
    assert "Examples:" in shown.stdout
    assert "--userspec" in shown.stdout


def test_only_files_say_who_is_who(tree: Path, tmp_path: Path) -> None:
    """A root whose passwd is a pipe, a device or an endless file holds nobody up."""
    other = rootfs.make(tmp_path / "hostile")
    (other / "etc/passwd").unlink()
    os.mkfifo(other / "etc/passwd")
    done = call(OURS, "--userspec=app", str(other), "true")
    assert done.returncode == 125
    assert "invalid user" in done.stderr

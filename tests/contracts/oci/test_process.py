"""``process`` of config.json: config.md, "Process"."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.ociruntime import Oci, command

pytestmark = pytest.mark.root

BITS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
"""capability.h"""


def mask(*names: str) -> str:
    return f"{sum(1 << BITS[name] for name in names):016x}"


def status(text: str) -> dict[str, str]:
    """/proc/PID/status: proc(5)."""
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines()}


def test_arguments_environment_and_folder(oci: Oci) -> None:
    script = 'echo "$0|$1|$A|$B"; pwd'
    out = oci.out("sh", "-c", script, "zero", "o n e", env=["PATH=/bin", "A=a=b", "B=two\nlines"],
                  cwd="/etc")  # fmt: skip
    assert out == "zero|o n e|a=b|two\nlines\n/etc\n"


def test_the_last_of_two_variables_counts(runclike: Oci) -> None:
    out = runclike.out("env", env=["PATH=/bin", "A=1", "A=2"])
    assert "A=2" in out.splitlines()
    assert "A=1" not in out.splitlines()


@pytest.mark.parametrize(
    ("env", "uid", "home"),
    [([], 0, "/root"), ([], 1000, "/"), (["HOME=/x"], 0, "/x")],
)
def test_home(oci: Oci, env: list[str], uid: int, home: str) -> None:
    user = {"uid": uid, "gid": uid}
    assert f"HOME={home}" in oci.out("env", env=["PATH=/bin", *env], user=user).splitlines()


def test_home_of_a_user_who_has_none(runclike: Oci) -> None:
    out = runclike.out("env", user={"uid": 4242, "gid": 4242})
    assert "HOME=/" in out.splitlines()


def test_the_user(oci: Oci) -> None:
    user = {"uid": 1000, "gid": 1000, "additionalGids": [10, 2000], "umask": 0o027}
    oci.spec["root"]["readonly"] = False
    found = status(oci.out("sh", "-c", "cat /proc/self/status", user=user))
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1000"] * 4
    assert found["Groups"].split() == ["10", "2000"]
    assert found["Umask"] == "0027"


def test_without_a_umask(oci: Oci) -> None:
    assert oci.out("sh", "-c", "umask") == "0022\n"


def test_capabilities(oci: Oci) -> None:
    sets = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    user = {"uid": 1000, "gid": 1000}
    found = status(oci.out("cat", "/proc/self/status", capabilities=sets, user=user))
    assert found["CapBnd"] == mask("CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW")
    assert found["CapInh"] == mask("CAP_KILL")
    assert found["CapAmb"] == mask("CAP_KILL")
    # execve(2) leaves an ordinary user the ambient ones: capabilities(7)
    assert found["CapPrm"] == found["CapEff"] == mask("CAP_KILL")


def test_root_has_what_the_bounding_set_has(oci: Oci) -> None:
    sets = {kind: ["CAP_CHOWN"] for kind in ("bounding", "permitted", "effective")}
    found = status(oci.out("cat", "/proc/self/status", capabilities=sets))
    assert {found[name] for name in ("CapBnd", "CapPrm", "CapEff")} == {mask("CAP_CHOWN")}
    assert {found[name] for name in ("CapInh", "CapAmb")} == {mask()}


def test_an_unknown_capability_is_left_out(oci: Oci) -> None:
    """config.md: what cannot be mapped is a warning and no failure."""
    sets = {kind: ["CAP_CHOWN", "CAP_OF_TOMORROW"] for kind in ("bounding", "permitted")}
    done = oci.run("grep", "CapBnd", "/proc/self/status", capabilities=sets)
    assert done.stdout.split()[1] == mask("CAP_CHOWN")
    if oci.kind != "crun":
        assert "CAP_OF_TOMORROW" in done.stderr


def test_no_capabilities(oci: Oci) -> None:
    found = status(oci.out("cat", "/proc/self/status", capabilities={}))
    assert {found[name] for name in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")} == {mask()}


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges(oci: Oci, wanted: bool) -> None:
    found = status(oci.out("cat", "/proc/self/status", noNewPrivileges=wanted))
    assert found["NoNewPrivs"] == str(int(wanted))


def test_rlimits(oci: Oci) -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_CPU", "soft": 100, "hard": 1000},
    ]
    found = {
        line[:26].strip(): line[26:].split()[:2]
        for line in oci.out("cat", "/proc/self/limits", rlimits=limits).splitlines()
    }
    soft, hard = found["Max open files"]
    # Go raises its own soft limit at its start, which runc 1.1 passes on now and then
    assert (soft, hard) in (("100", "200"), ("200", "200") if oci.kind == "runc" else ())
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max cpu time"] == ["100", "1000"]


@pytest.mark.parametrize("kind", ["RLIMIT_NONE", "nofile", ""])
def test_an_rlimit_that_is_none(oci: Oci, kind: str) -> None:
    assert oci.refused("true", rlimits=[{"type": kind, "soft": 1, "hard": 1}])


def test_oom_score_adj(oci: Oci) -> None:
    assert oci.out("cat", "/proc/self/oom_score_adj", oomScoreAdj=777) == "777\n"


@pytest.mark.parametrize("readonly", [True, False])
def test_a_folder_that_is_not_there_is_made(oci: Oci, tmp_path: Path, readonly: bool) -> None:
    """Root's; also where the program will not be able to write."""
    tree = rootfs.make(tmp_path / "own")
    oci.spec["root"] = {"path": str(tree), "readonly": readonly}
    user = {"uid": 5, "gid": 5}
    script = "pwd; stat -c '%a %u:%g' ."
    assert oci.out("sh", "-c", script, cwd="/srv/a/b", user=user) == "/srv/a/b\n755 0:0\n"
    assert (tree / "srv/a/b").is_dir()


def test_a_folder_that_only_its_user_may_enter(oci: Oci, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(0o700)
    (tmp_path / "own").chmod(0o700)
    os.chown(tmp_path / "own", 1000, 1000)
    oci.spec["mounts"].append({"destination": "/own", "type": "bind", "source":
                               str(tmp_path / "own"), "options": ["bind"]})  # fmt: skip
    no_override = {kind: ["CAP_KILL"] for kind in ("bounding", "permitted", "effective")}
    out = oci.out("pwd", cwd="/own", user={"uid": 1000, "gid": 1000}, capabilities=no_override)
    assert out == "/own\n"


def test_a_folder_that_only_root_may_enter(oci: Oci, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(0o700)
    oci.spec["mounts"].append({"destination": "/own", "type": "bind", "source":
                               str(tmp_path / "own"), "options": ["bind"]})  # fmt: skip
    user = {"uid": 1000, "gid": 1000}
    assert oci.out("sh", "-c", "id -u; ls /own || pwd", cwd="/own", user=user) == "1000\n/own\n"


def test_a_folder_that_is_no_absolute_path(runclike: Oci) -> None:
    assert runclike.refused("true", cwd="relative")


def test_the_folder_is_never_the_hosts(oci: Oci) -> None:
    """CVE-2024-21626: a working folder that is a descriptor of the host's."""
    for number in range(3, 12):
        done = oci.run("cat", "../../../../etc/hostname", check=False,
                       cwd=f"/proc/self/fd/{number}")  # fmt: skip
        assert done.stdout == ""
        assert done.returncode != 0


@pytest.mark.parametrize("args", [[], None], ids=["empty", "missing"])
def test_no_program(oci: Oci, args: list[str] | None) -> None:
    oci.spec["process"]["args"] = args
    if args is None:
        del oci.spec["process"]["args"]
    place = oci.bundle()
    assert oci("run", "-b", str(place), oci.id, check=False).returncode != 0
    assert oci("state", oci.id, check=False).returncode != 0


def test_no_descriptor_of_the_runtime_is_left(oci: Oci) -> None:
    out = oci.out("sh", "-c", "ls /proc/self/fd").split()
    assert set(out) <= {"0", "1", "2", "3"}  # 3: ls reads the folder


def test_descriptors_that_are_passed_on(runclike: Oci) -> None:
    place = runclike.bundle("sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd")
    files = []
    for name in ("one", "two"):
        (runclike.folder / name).write_text(f"{name}\n")
        files.append(str(runclike.folder / name))
    line = f'exec "$0" "$@" 3<{files[0]} 4<{files[1]}'
    done = subprocess.run(
        ["sh", "-c", line, *command(runclike.kind), "--root", str(runclike.state_root), "run",
         "--preserve-fds", "2", "-b", str(place), runclike.id],
        capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout.split() == ["one", "two", "0", "1", "2", "3", "4", "5"], done.stderr


def test_a_descriptor_that_is_not_open(ours: Oci) -> None:
    place = ours.bundle("true")
    done = ours("run", "--preserve-fds", "3", "-b", str(place), ours.id, check=False)
    assert done.returncode == 1
    assert "descriptor" in done.stderr

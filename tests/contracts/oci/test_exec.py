"""exec: a further process in a container."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.ociruntime import Oci, command, until

pytestmark = pytest.mark.root


def test_output_input_and_exit_code(oci: Oci) -> None:
    oci.up()
    done = oci.exec("--", "sh", "-c", "cat; echo err >&2; exit 5", check=False, stdin="given\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, "given\n", "err\n")
    assert oci.exec("--", "sh", "-c", "kill -9 $$", check=False).returncode == 128 + 9


def test_what_a_command_has_is_what_the_container_has(runclike: Oci) -> None:
    user = {"uid": 1000, "gid": 1000, "additionalGids": [2000]}
    runclike.up(env=["PATH=/bin", "OWN=1"], cwd="/etc", user=user)
    script = "id -u; id -G; pwd; echo $OWN; grep NoNewPrivs /proc/self/status"
    assert runclike.exec("--", "sh", "-c", script).stdout.split() == [
        "1000", "1000", "2000", "/etc", "1", "NoNewPrivs:", "1",
    ]  # fmt: skip


def test_the_umask_is_the_containers(ours: Oci) -> None:
    """As with runc since 1.2."""
    ours.up(user={"uid": 0, "gid": 0, "umask": 0o077})
    assert ours.exec("--", "sh", "-c", "umask").stdout == "0077\n"


def test_flags_change_it(runclike: Oci) -> None:
    runclike.up(env=["PATH=/bin", "OWN=1"])
    done = runclike.exec("-e", "OWN=2", "-e", "NEW=x y", "--cwd", "/etc", "--user", "1000:2000",
                    "--", "sh", "-c", "echo $OWN $NEW; pwd; id -u; id -g")  # fmt: skip
    assert done.stdout == "2 x y\n/etc\n1000\n2000\n"


def test_further_groups(runclike: Oci) -> None:
    runclike.up()
    done = runclike.exec("-g", "100", "-g", "65534", "-u", "1:1", "--", "id", "-G")
    assert done.stdout == "1 100 65534\n"


def test_home_of_the_user(oci: Oci) -> None:
    oci.up()
    assert oci.exec("--", "sh", "-c", "echo $HOME").stdout == "/root\n"
    assert oci.exec("--user", "1000", "--", "sh", "-c", "echo $HOME").stdout == "/\n"


def test_capabilities_are_added(oci: Oci) -> None:
    oci.up(capabilities={kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")})
    out = oci.exec("--cap", "CAP_SYS_CHROOT", "--", "cat", "/proc/self/status").stdout
    found = dict(line.split(":\t") for line in out.splitlines() if line.startswith("Cap"))
    wanted = {1 << 18, 1 << 5 | 1 << 18}  # crun 1.8 gives the added ones alone
    assert int(found["CapBnd"], 16) in wanted
    assert found["CapEff"] == found["CapPrm"] == found["CapBnd"]
    assert int(found["CapAmb"], 16) == int(found["CapInh"], 16) == 0


def test_runc_adds_to_those_that_are_there(runclike: Oci) -> None:
    runclike.up(capabilities={k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted")})
    out = runclike.exec("--cap", "CAP_SYS_CHROOT", "--", "grep", "CapEff", "/proc/self/status")
    assert int(out.stdout.split()[1], 16) == 1 << 5 | 1 << 18
    unknown = runclike.exec("--cap", "CAP_NONE", "--", "true")
    assert "CAP_NONE" in unknown.stderr


def test_no_new_privileges(oci: Oci) -> None:
    oci.up(noNewPrivileges=False)
    script = ("grep", "NoNewPrivs", "/proc/self/status")
    assert oci.exec("--", *script).stdout.split()[1] == "0"
    assert oci.exec("--no-new-privs", "--", *script).stdout.split()[1] == "1"


def test_a_command_has_the_containers_personality(ours: Oci) -> None:
    """runc of Debian 12 knows none."""
    ours.linux["personality"] = {"domain": "LINUX32"}
    ours.up()
    assert ours.exec("--", "uname", "-m").stdout == "i686\n"


def test_every_processor_of_the_group(ours: Oci) -> None:
    """Whatever its maker is bound to; runc since 1.2."""

    def bound() -> None:
        os.sched_setaffinity(0, {0})

    place = ours.bundle("sh", "-c", "nproc; sleep 100")
    whole = ours("run", "-d", "-b", str(place), ours.id, preexec_fn=bound)
    done = ours("exec", ours.id, "nproc", preexec_fn=bound)
    wanted = f"{len(os.sched_getaffinity(0))}\n"
    until(lambda: (ours.folder / "out1").read_text() == wanted)
    assert (whole.returncode, done.stdout) == (0, wanted)


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_descriptor_of_the_process(ours: Oci, tmp_path: Path, verb: str) -> None:
    """--pidfd-socket, as runc 1.2 has it."""
    flags = ["--pidfd-socket", str(tmp_path / "socket"), "--pid-file", str(tmp_path / "pid")]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        if verb == "exec":
            ours.up()
            ours("exec", "-d", *flags, ours.id, "sleep", "100")
        else:
            place = ours.bundle("sleep", "100")
            ours(verb, *(["-d"] if verb == "run" else []), *flags, "-b", str(place), ours.id)
        listener.settimeout(20)
        peer, _ = listener.accept()
        with peer:
            _, descriptors, _, _ = socket.recv_fds(peer, 100, 1)
    about = Path(f"/proc/self/fdinfo/{descriptors[0]}").read_text()
    os.close(descriptors[0])
    assert f"Pid:\t{(tmp_path / 'pid').read_text()}\n" in about


def test_a_process_from_a_file(oci: Oci) -> None:
    oci.up()
    file = oci.folder / "process.json"
    file.write_text(json.dumps({
        "args": ["sh", "-c", "echo $A; pwd; id -u; exit 3"], "cwd": "/etc", "env":
        ["PATH=/bin", "A=b"], "user": {"uid": 1000, "gid": 1000}, "terminal": False,
    }))  # fmt: skip
    done = oci("exec", "--process", str(file), oci.id, check=False)
    assert (done.returncode, done.stdout) == (3, "b\n/etc\n1000\n")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"args": []}', '{"args": [1]}'])
def test_a_file_that_is_no_process(oci: Oci, text: str) -> None:
    oci.up()
    file = oci.folder / "process.json"
    file.write_text(text)
    done = oci("exec", "--process", str(file), oci.id, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_detached_with_a_pid_file(oci: Oci) -> None:
    oci.up()
    file = oci.folder / "pid"
    oci("exec", "-d", "--pid-file", str(file), oci.id, "sleep", "100")
    words = Path(f"/proc/{int(file.read_text())}/cmdline")
    until(lambda: words.read_bytes() == b"sleep\x00100\x00")


@pytest.mark.parametrize(
    ("program", "said"), [("nope", "not found"), ("/etc/passwd", "permission denied")]
)
def test_a_program_that_cannot_be_executed(oci: Oci, program: str, said: str) -> None:
    oci.up()
    done = oci.exec("--", program, check=False)
    assert done.returncode == 255
    assert said in done.stderr.lower()
    assert oci.status() == "running"


def test_a_folder_that_is_not_there_is_not_made(oci: Oci, tmp_path: Path) -> None:
    """It is for the container's first program alone."""
    tree = rootfs.make(tmp_path / "own")
    oci.spec["root"] = {"path": str(tree)}
    oci.up()
    done = oci.exec("--cwd", "/absent/x", "--", "true", check=False)
    assert (done.returncode, "o such file or directory" in done.stderr) == (255, True)
    assert not (tree / "absent").exists()


def test_a_folder_that_is_a_files(oci: Oci) -> None:
    oci.up()
    assert oci.exec("--cwd", "/etc/passwd", "--", "true", check=False).returncode != 0


@pytest.mark.parametrize("user", ["root", "a:b", "1:", "-1"])
def test_a_user_is_a_number(runclike: Oci, user: str) -> None:
    runclike.up()
    assert runclike.exec("--user", user, "--", "true", check=False).returncode == 255


def test_no_command(oci: Oci) -> None:
    oci.up()
    assert oci("exec", oci.id, check=False).returncode != 0


def test_in_a_created_container(oci: Oci) -> None:
    oci.create()
    assert oci.exec("--", "echo", "in").stdout == "in\n"
    assert oci.status() == "created"


def test_in_a_container_that_has_stopped(runclike: Oci) -> None:
    runclike.up()
    runclike.kill()
    done = runclike.exec("--", "true", check=False)
    assert done.returncode == 255
    assert "cannot exec in a stopped container" in done.stderr


def test_in_a_paused_container(oci: Oci) -> None:
    oci.up()
    oci("pause", oci.id)
    done = oci.exec("--", "true", check=False)
    assert done.returncode != 0
    assert "paused" in done.stderr
    oci("resume", oci.id)
    assert oci.exec("--", "true").returncode == 0


def test_waiting_in_a_paused_container(runclike: Oci) -> None:
    runclike.up()
    runclike("pause", runclike.id)
    words = [*command(runclike.kind), "--root", str(runclike.state_root), "exec",
             "--ignore-paused", runclike.id, "echo", "later"]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as waiting:
        frozen = Path("/sys/fs/cgroup/freezer" + runclike.group, "cgroup.procs")
        until(lambda: len(frozen.read_text().split()) > 1)
        runclike("resume", runclike.id)
        assert waiting.communicate(timeout=20)[0] == b"later\n"


def test_it_is_in_the_containers_namespaces_and_groups(oci: Oci) -> None:
    oci.up()
    names = ("net", "pid", "mnt", "uts", "ipc", "cgroup")
    script = f"for name in {' '.join(names)}; do readlink /proc/self/ns/$name; done"
    done = oci.exec("--", "sh", "-c", f"{script}; cat /proc/self/cgroup")
    out = done.stdout.splitlines()
    links = [str(Path(f"/proc/{oci.pid()}/ns/{name}").readlink()) for name in names]
    assert out[:6] == links
    v1 = [line.split(":", 2)[2] for line in out[6:] if not line.startswith("0::")]
    assert v1
    assert set(v1) == {"/"}


def test_a_group_below_the_containers(runclike: Oci) -> None:
    runclike.up()
    done = runclike.exec("--cgroup", "none", "--", "true", check=False)
    assert done.returncode == 255
    for place in runclike.groups():
        Path(place, "inner").mkdir()
        for name in ("cpus", "mems"):
            file = Path(place, "inner", f"cpuset.{name}")
            if file.exists():
                file.write_text(Path(place, f"cpuset.{name}").read_text())
    lines = runclike.exec("--cgroup", "pids:inner", "--", "cat", "/proc/self/cgroup").stdout
    groups = {line.split(":")[1]: line.split(":", 2)[2] for line in lines.splitlines()}
    assert groups["pids"] == "/inner"
    assert groups["memory"] == "/"


def test_limits_are_the_containers(runclike: Oci) -> None:
    runclike.up(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}])
    soft, hard = runclike.exec("--", "sh", "-c", "ulimit -n; ulimit -Hn").stdout.split()
    # Go raises its own soft limit at its start, which runc 1.1 passes on now and then
    assert (soft, hard) in (("100", "200"), ("200", "200") if runclike.kind == "runc" else ())


def test_seccomp_is_the_containers(oci: Oci) -> None:
    oci.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}],
    }
    oci.up()
    done = oci.exec("--", "chmod", "700", "/tmp", check=False)
    assert done.returncode == 1
    assert "not permitted" in done.stderr


def test_descriptors_that_are_passed_on(runclike: Oci) -> None:
    runclike.up()
    (runclike.folder / "given").write_text("given\n")
    line = f'exec "$0" "$@" 3<{runclike.folder}/given'
    done = subprocess.run(
        ["sh", "-c", line, *command(runclike.kind), "--root", str(runclike.state_root), "exec",
         "--preserve-fds", "1", runclike.id, "sh", "-c", "cat <&3"],
        capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout == "given\n", done.stderr


def test_nothing_of_the_runtime_can_be_looked_at(oci: Oci) -> None:
    """CVE-2016-9962, CVE-2019-5736: descriptors and memory of a process that joins."""
    oci.up()
    assert set(oci.exec("--", "sh", "-c", "ls /proc/self/fd").stdout.split()) <= set("0123")
    link = oci.exec("--", "readlink", "/proc/self/exe").stdout
    assert link == "/bin/busybox\n"

"""create, start, state, kill, delete, list, run: runtime.md, "Lifecycle" and "Operations"."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from helpers.ociruntime import Oci, command, until

pytestmark = pytest.mark.root


def test_a_life(oci: Oci, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    oci.spec["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(tmp_path),
                               "options": ["rbind", "rw"]})  # fmt: skip
    oci.create("sh", "-c", "echo yes > /mnt/ran; sleep 100")
    assert oci.status() == "created"
    assert not marker.exists()
    oci("start", oci.id)
    until(marker.exists)
    assert oci.status() == "running"
    assert oci("delete", oci.id, check=False).returncode != 0
    assert oci.status() == "running"
    oci.kill()
    assert oci.status() == "stopped"
    oci("delete", oci.id)
    assert oci("state", oci.id, check=False).returncode != 0
    assert oci.groups() == []


def test_state_is_what_the_specification_says(oci: Oci) -> None:
    oci.spec["annotations"] = {"org.example.key": "value"}
    oci.up()
    found = oci.state()
    assert found["id"] == oci.id
    assert found["bundle"] == str(oci.folder / "bundle")
    assert found["annotations"]["org.example.key"] == "value"
    assert found["ociVersion"].startswith("1.")
    assert Path(f"/proc/{found['pid']}").is_dir()


def test_run_gives_output_and_exit_code(oci: Oci) -> None:
    done = oci.run("sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert oci("state", oci.id, check=False).returncode != 0
    assert oci.groups() == []


@pytest.mark.parametrize("signal_", [9, 15])
def test_a_program_that_a_signal_ends(oci: Oci, signal_: int) -> None:
    # as init it would not get its own signal: a child of init does
    done = oci.run("sh", "-c", f"sh -c 'kill -{signal_} $$'; exit $?", check=False)
    assert done.returncode == 128 + signal_


def test_standard_input_reaches_the_program(oci: Oci) -> None:
    place = oci.bundle("cat")
    assert oci("run", "-b", str(place), oci.id, stdin="a line\n").stdout == "a line\n"


def test_the_bundle_is_where_you_are(oci: Oci) -> None:
    place = oci.bundle("echo", "here")
    assert oci("run", oci.id, cwd=place).stdout == "here\n"


def test_a_root_beside_the_configuration(oci: Oci) -> None:
    place = oci.bundle("echo", "relative")
    place.rename(place.with_name("gone"))
    place.mkdir()
    (place / "rootfs").mkdir()
    for name in ("bin", "dev", "proc", "sys", "tmp"):
        (place / "rootfs" / name).mkdir()
    (place / "rootfs/bin/busybox").write_bytes((oci.tree / "bin/busybox").read_bytes())
    (place / "rootfs/bin/busybox").chmod(0o755)
    oci.spec["root"]["path"] = "rootfs"
    assert oci.out("/bin/busybox", "echo", "relative") == "relative\n"


@pytest.mark.parametrize("verb", ["create", "run"])
def test_an_id_is_taken_once(oci: Oci, verb: str) -> None:
    oci.up()
    before = oci.state()
    assert oci(verb, "-b", str(oci.folder / "bundle"), oci.id, check=False).returncode != 0
    assert oci.state() == before


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "../up", "..", "a b", "a\nb"],
    ids=["none", "sub", "up", "dots", "space", "line"],
)
def test_an_id_that_is_none(runclike: Oci, name: str) -> None:
    done = runclike("create", "-b", str(runclike.bundle("true")), name, check=False)
    assert done.returncode == 1
    assert not (runclike.folder / "up").exists()
    assert runclike("list", "-q").stdout == ""


@pytest.mark.parametrize("verb", ["start", "state", "kill", "delete", "pause", "resume"])
def test_a_container_that_is_not_there(oci: Oci, verb: str) -> None:
    done = oci(verb, "nobody", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["create", "run", "start", "state", "kill", "delete", "pause"])
def test_a_verb_wants_an_id(oci: Oci, verb: str) -> None:
    assert oci(verb, check=False).returncode != 0


def test_a_bundle_that_is_not_there(oci: Oci) -> None:
    assert oci("create", "-b", str(oci.folder / "no"), oci.id, check=False).returncode == 1
    (oci.folder / "no").mkdir()
    assert oci("create", "-b", str(oci.folder / "no"), oci.id, check=False).returncode == 1
    assert oci("state", oci.id, check=False).returncode != 0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"ociVersion": 3}'])
def test_a_configuration_that_is_none(oci: Oci, text: str) -> None:
    place = oci.bundle("true")
    (place / "config.json").write_text(text)
    done = oci("create", "-b", str(place), oci.id, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert oci("state", oci.id, check=False).returncode != 0


def test_start_takes_a_created_container_only(oci: Oci) -> None:
    oci.up()
    assert oci("start", oci.id, check=False).returncode != 0
    assert oci.status() == "running"


def test_changes_after_create_change_nothing(oci: Oci) -> None:
    oci.create("sleep", "100")
    oci.bundle("sleep", "200")
    oci("start", oci.id)
    words = Path(f"/proc/{oci.pid()}/cmdline")
    until(lambda: words.read_bytes().startswith(b"sleep"))
    assert words.read_bytes() == b"sleep\x00100\x00"


def test_kill_of_a_stopped_container(oci: Oci) -> None:
    oci.up()
    oci.kill()
    done = oci("kill", oci.id, "KILL", check=False)
    if oci.kind != "crun":  # crun 1.8 says nothing
        assert done.returncode == 1
        assert "container not running" in done.stderr  # containerd looks for it
    assert oci.status() == "stopped"


def test_init_holds_nothing_of_the_callers(runclike: Oci, tmp_path: Path) -> None:
    """While it waits for its start too."""
    with (tmp_path / "secret").open("w") as file:
        place = runclike.bundle("true")
        runclike("create", "-b", str(place), runclike.id, pass_fds=[file.fileno()])
    held = [str(entry.readlink()) for entry in Path(f"/proc/{runclike.pid()}/fd").iterdir()]
    assert str(tmp_path / "secret") not in held


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "15", "USR1", "HUP", "2", "WINCH"])
def test_each_signal_reaches_the_program(oci: Oci, tmp_path: Path, name: str) -> None:
    number = int(name) if name.isdecimal() else signal.Signals[f"SIG{name.removeprefix('SIG')}"]
    oci.spec["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(tmp_path),
                               "options": ["rbind", "rw"]})  # fmt: skip
    loop = (
        f"trap 'echo got > /mnt/got' {int(number)}; touch /mnt/ready; while :; do sleep 0.02; done"
    )
    oci.up("sh", "-c", loop)
    until((tmp_path / "ready").exists)
    oci("kill", oci.id, name)
    until((tmp_path / "got").exists)
    oci("kill", oci.id, "KILL")


def test_a_signal_that_is_none(runclike: Oci) -> None:
    runclike.up()
    assert runclike("kill", runclike.id, "NOSUCH", check=False).returncode == 1
    assert runclike.status() == "running"


def test_kill_of_a_created_container(oci: Oci) -> None:
    oci.create()
    oci.kill()
    oci("delete", "--force", oci.id)


def test_kill_everyone(runclike: Oci) -> None:
    runclike.without("pid")
    runclike.up("sh", "-c", "sleep 100 & sleep 100 & wait")
    until(lambda: len(runclike.value("pids", "cgroup.procs").split()) == 3)
    runclike("kill", "--all", runclike.id, "KILL")
    until(lambda: runclike.value("pids", "cgroup.procs") == "")


@pytest.mark.parametrize("started", [False, True])
def test_delete_by_force(oci: Oci, started: bool) -> None:
    oci.create()
    if started:
        oci("start", oci.id)
    pid = oci.pid()
    oci("delete", "--force", oci.id)
    until(lambda: not Path(f"/proc/{pid}/exe").exists())
    assert oci.groups() == []
    assert oci("delete", "--force", oci.id).returncode == 0  # it is gone already


def test_delete_of_a_created_container(oci: Oci) -> None:
    oci.create()
    oci("delete", oci.id)
    assert oci.groups() == []


def test_delete_by_force_of_a_paused_container(oci: Oci) -> None:
    oci.up()
    oci("pause", oci.id)
    oci("delete", "--force", oci.id)
    assert oci.groups() == []


def test_delete_ends_what_init_has_left(oci: Oci) -> None:
    oci.without("pid")
    oci.create("sh", "-c", "sleep 100 & exit 0")
    with oci.watched() as ended:
        oci("start", oci.id)
        ended()
    assert oci.status() == "stopped"
    oci("delete", "--force", oci.id)
    assert oci.groups() == []


def test_delete_takes_groups_that_the_container_made(oci: Oci) -> None:
    oci.up()
    for place in oci.groups():
        Path(place, "inner", "most").mkdir(parents=True)
    oci("delete", "--force", oci.id)
    assert oci.groups() == []


def test_delete_leaves_groups_that_were_there(oci: Oci) -> None:
    above = Path(f"/sys/fs/cgroup/pids/{oci.group.strip('/')}-kept")
    above.mkdir(parents=True)
    try:
        oci.linux["cgroupsPath"] = f"{oci.group}-kept/inner"
        (above / "other").mkdir()
        oci.run("true")
        assert (above / "other").is_dir()
    finally:
        for place in (above / "other", above):
            place.rmdir()


@pytest.mark.parametrize("verb", ["create", "run"])
def test_the_pid_file(oci: Oci, verb: str) -> None:
    file = oci.folder / "pid"
    flags = ["-d"] if verb == "run" else []
    oci(verb, *flags, "--pid-file", str(file), "-b", str(oci.bundle("sleep", "100")), oci.id)
    assert int(file.read_text()) == oci.pid()
    assert stat.S_ISREG(file.stat().st_mode)


def test_a_container_is_kept_when_asked(runclike: Oci) -> None:
    place = runclike.bundle("sh", "-c", "exit 4")
    assert runclike("run", "--keep", "-b", str(place), runclike.id, check=False).returncode == 4
    assert runclike.status() == "stopped"
    runclike("delete", runclike.id)


def test_list(oci: Oci) -> None:
    assert oci("list", "-q").stdout == ""
    oci.up()
    assert oci("list", "-q").stdout == f"{oci.id}\n"
    [row] = json.loads(oci("list", "--format", "json").stdout)
    wanted = {"id", "pid", "status", "bundle", "created", "owner"}
    assert wanted <= set(row)
    assert (row["id"], row["status"], row["owner"]) == (oci.id, "running", "root")
    heading, line = oci("list").stdout.splitlines()
    assert heading.split()[1:3] == ["PID", "STATUS"]
    assert line.split()[:3] == [oci.id, str(oci.pid()), "running"]


def test_list_as_a_table_is_runcs(runclike: Oci) -> None:
    runclike.up()
    heading, line = runclike("list").stdout.splitlines()
    assert heading.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    for word in ("PID", "STATUS", "BUNDLE"):  # columns begin where their headings do
        assert line[heading.index(word) - 1] == " " != line[heading.index(word)]
    assert runclike("list", "--format", "xml", check=False).returncode == 1


def test_the_program_is_not_this_runtime(oci: Oci) -> None:
    """CVE-2019-5736: nothing in the container leads to the runtime's own file."""
    oci.up("sh", "-c", "sleep 100")
    assert Path(f"/proc/{oci.pid()}/exe").readlink().name == "busybox"


@pytest.mark.parametrize(
    ("program", "said"),
    [("nope", "not found"), ("/no/such", "no such file"), ("/etc/passwd", "permission denied"),
     ("/tmp", "")],
)  # fmt: skip
def test_a_program_that_cannot_be_executed(oci: Oci, program: str, said: str) -> None:
    assert said in oci.refused(program).lower()


def test_a_program_that_cannot_be_executed_fails_at_create(oci: Oci) -> None:
    """podman and containerd tell 127 from 126 by what create says."""
    place = oci.bundle("nope")
    done = oci("create", "-b", str(place), oci.id, check=False)
    assert done.returncode == 1
    assert "not found in $PATH" in done.stderr
    assert oci.groups() == []


def test_a_create_that_is_killed_can_be_cleaned_up(ours: Oci, tmp_path: Path) -> None:
    """Whoever made it is gone in the middle: its state says so, and nothing stays behind."""
    script = f"echo $$ > {tmp_path}/hook; cat > {tmp_path}/seen; sleep 100"
    ours.spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    words = [*command(ours.kind), "--root", str(ours.state_root), "create", "-b",
             str(ours.bundle("sleep", "100")), ours.id]  # fmt: skip
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as making:
        until(lambda: (tmp_path / "seen").exists() and bool((tmp_path / "seen").read_text()))
        assert (ours.status(), ours.state()["pid"]) == ("creating", 0)
        for verb in ("start", "pause", "kill", "delete", "update"):
            flags = ["--pids-limit", "5"] if verb == "update" else []
            assert ours(verb, *flags, ours.id, check=False).returncode == 1, verb
        assert ours.exec("--", "true", check=False).returncode == 255
        init = json.loads((tmp_path / "seen").read_text())["pid"]
        making.kill()
    os.killpg(int((tmp_path / "hook").read_text()), signal.SIGKILL)  # it is nobody's any more
    assert ours.groups() != []
    ours("delete", "--force", ours.id)
    assert ours.groups() == []
    until(lambda: not Path(f"/proc/{init}/exe").exists())
    del ours.spec["hooks"]
    assert ours.out("echo", "again") == "again\n"

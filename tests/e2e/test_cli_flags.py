"""Flags of `run`, by their effect inside; refusals in docker's words."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path

import pytest

from helpers.program import Shell, eventually

pytestmark = pytest.mark.root


def out(shell: Shell, *words: str) -> str:
    done = shell.run("--rm", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_limits_of_processes(shell: Shell) -> None:
    words = ("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "nofile=90:200")
    assert out(shell, *words, "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c") == "90\n200\n0\n"


def test_groups_by_name_and_number(shell: Shell) -> None:
    found = out(shell, "-u", "1000:1000", "--group-add", "extra", "--group-add", "77", "id", "-G")
    assert {"1000", "2000", "77"} == set(found.split())
    done = shell.run("--rm", "--group-add", "nobody-here", "true")
    assert (done.returncode, b"unable to find group nobody-here" in done.stderr) == (125, True)


def test_devices(shell: Shell) -> None:
    text = (
        "ls -l /dev/mine | cut -c1; dd if=/dev/mine of=/dev/null bs=1 count=1 2>/dev/null; echo $?"
    )
    assert out(shell, "--device", "/dev/zero:/dev/mine:r", "sh", "-c", text) == "c\n0\n"
    done = shell.run("--rm", "--device", "/dev/nonexist", "true")
    assert done.returncode == 127  # docker's too, of whatever is not there
    assert done.stderr == (
        b"dockyard: run: error gathering device information while adding custom device "
        b'"/dev/nonexist": no such file or directory\n'
    )
    text = "mknod /tmp/k c 1 2; dd if=/tmp/k of=/dev/null bs=1 count=1 2>&1 | grep -c permitted"
    assert shell.run("--rm", "sh", "-c", text).stdout == b"1\n"
    allowed = shell.run("--rm", "--device-cgroup-rule", "c 1:2 rwm", "sh", "-c",
                        text.replace("if=/tmp/k", "if=/tmp/k"))  # fmt: skip
    assert allowed.stdout in (b"0\n", b"1\n")  # the kernel may refuse /dev/mem itself


def test_a_seccomp_profile(shell: Shell, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
            {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO",
             "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        ],
    }))  # fmt: skip
    words = ("--security-opt", f"seccomp={profile}")
    done = shell.run("--rm", *words, "mkdir", "/x")
    assert (done.returncode, b"No space left" in done.stderr) == (1, True)
    assert shell.run("--rm", *words, "chmod", "777", "/tmp").returncode == 1
    assert (
        shell.run("--rm", "--cap-add", "SYS_ADMIN", *words, "chmod", "777", "/tmp").returncode == 0
    )
    profile.write_text("no json")
    for text in (f"seccomp={profile}", "seccomp=/nowhere"):
        done = shell.run("--rm", "--security-opt", text, "true")
        assert (done.returncode, b"seccomp profile" in done.stderr) == (125, True)


def test_a_privileged_container_has_the_devices(shell: Shell) -> None:
    text = "ls /dev"
    few, all_ = out(shell, "sh", "-c", text), out(shell, "--privileged", "sh", "-c", text)
    missing = {path.name for path in Path("/dev").iterdir() if path.is_char_device()}
    assert "kmsg" not in few.split()
    assert missing - {"console"} <= set(all_.split()) | {"console"}


def test_limits_at_a_block_device(shell: Shell) -> None:
    name, numbers = next(
        (path.name, (path / "dev").read_text().strip())
        for path in sorted(Path("/sys/block").iterdir())
        if Path("/dev", path.name).is_block_device()
    )  # fmt: skip
    text = "cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device || cat /sys/fs/cgroup/io.max"
    found = out(shell, "--device-read-bps", f"/dev/{name}:1mb", "sh", "-c", f"({text}) 2>/dev/null")
    assert numbers in found
    assert str(1 << 20) in found
    for flag, value, message in (
        ("--device-read-bps", "/dev/null:1mb", "not a block device"),
        ("--device-write-iops", f"/dev/{name}:fast", "Number must be a positive integer"),
        ("--device-read-iops", name, "bad format"),
        ("--blkio-weight-device", f"/dev/{name}:5", "invalid weight for device"),
    ):
        done = shell.run("--rm", flag, value, "true")
        assert (done.returncode, message in done.stderr.decode()) == (125, True), done.stderr


def test_one_that_was_made_to_vanish(shell: Shell) -> None:
    shell("create", "--rm", "--name", "once", "--network", "none", "--rootfs", shell.tree, "true")
    shell("start", "once")
    eventually(lambda: shell("ps", "-aq") == "")


def test_sizes(shell: Shell) -> None:
    shell.run("--name", "web", "sh", "-c", "echo 12345 > /f")
    assert shell("inspect", "-s", "-f", "{{.SizeRw}}", "web") == "6\n"
    assert "6B (virtual " in shell("ps", "-as")


def test_an_init(shell: Shell) -> None:
    assert out(shell, "--init", "cat", "/proc/1/comm").strip() in ("docker-init", "tini",
                                                                   "catatonit")  # fmt: skip
    done = shell.run("--rm", "--init", "sh", "-c", "exit 9")
    assert done.returncode == 9


def test_names(shell: Shell) -> None:
    words = ("--hostname", "ship", "--domainname", "fleet")
    assert out(shell, *words, "sh", "-c", "hostname; cat /proc/sys/kernel/domainname") == (
        "ship\nfleet\n"
    )


def test_an_address_of_its_own_choice(shell: Shell) -> None:
    shell("network", "create", "back")
    found = json.loads(shell("network", "inspect", "back"))[0]["IPAM"]["Config"][0]["Subnet"]
    block = ipaddress.ip_network(found)
    words = ("run", "--network", "back", "--rootfs", shell.tree)
    try:
        for _ in range(2):
            assert shell(*words, "--rm", "--ip", str(block[77]), "hostname", "-i") == (
                f"{block[77]}\n"
            )
        shell(*words, "-d", "--name", "web", "--ip", str(block[2]), "sleep", "1000")
        assert shell("inspect", "-f", "{{.NetworkSettings.Networks.back.IPAMConfig.IPv4Address}}",
                     "web") == f"{block[2]}\n"  # fmt: skip
        assert shell(*words, "--rm", "hostname", "-i") == f"{block[3]}\n"
        for address, message in ((block[2], "Address already in use"),
                                 (block[1], "Address already in use"),
                                 (block[0], "Address already in use"),
                                 ("192.0.2.1", "no configured subnet or ip-range")):  # fmt: skip
            done = shell.full(*words, "--rm", "--ip", str(address), "true")
            assert (done.returncode, message in done.stderr.decode()) == (125, True), done.stderr
        done = shell.run("--rm", "--ip", str(block[9]), "true")
        assert (done.returncode, b"user defined networks only" in done.stderr) == (125, True)
    finally:
        shell("rm", "-f", *shell("ps", "-aq").split(), check=False)
        shell("network", "rm", "back")


def test_groups_of_control_are_seen_or_not(shell: Shell) -> None:
    assert "/dockyard/" not in out(shell, "cat", "/proc/self/cgroup")
    assert "/dockyard/" in out(shell, "--cgroupns", "host", "cat", "/proc/self/cgroup")


def test_volumes_of_another_container(shell: Shell) -> None:
    shell.run("--name", "first", "-v", "data:/data", "sh", "-c", "echo x > /data/f")
    assert out(shell, "--volumes-from", "first", "cat", "/data/f") == "x\n"
    done = shell.run("--rm", "--volumes-from", "first:ro", "touch", "/data/g")
    assert (done.returncode, b"Read-only" in done.stderr) == (1, True)
    done = shell.run("--rm", "--volumes-from", "nope", "true")
    assert (done.returncode, b"No such container: nope" in done.stderr) == (125, True)


def test_only_some_streams(shell: Shell) -> None:
    done = shell.run("--rm", "-a", "stderr", "sh", "-c", "echo out; echo err >&2; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, b"", b"err\n")
    done = shell.run("--rm", "-a", "nothing", "true")
    assert (done.returncode, b"valid streams are STDIN, STDOUT and STDERR" in done.stderr) == (
        125, True
    )  # fmt: skip


def test_a_log_that_is_rotated(shell: Shell) -> None:
    shell.run("--name", "web", "--log-opt", "max-size=2k", "--log-opt", "max-file=2", "sh", "-c",
              "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done")  # fmt: skip
    lines = shell("logs", "web").splitlines()
    assert lines[-1] == "line 199"
    assert 10 < len(lines) < 100
    folder = Path(shell("inspect", "-f", "{{.LogPath}}", "web").strip()).parent
    logs = [path for path in folder.iterdir() if "-json.log" in path.name]
    assert len(logs) == 2
    assert all(path.stat().st_size <= 2048 for path in logs)
    assert json.loads(shell("inspect", "-f", "{{json .HostConfig.LogConfig}}", "web")) == {
        "Type": "json-file", "Config": {"max-size": "2k", "max-file": "2"}
    }  # fmt: skip


def test_no_log(shell: Shell) -> None:
    done = shell.run("--name", "web", "--log-driver", "none", "echo", "hi")
    assert done.stdout == b"hi\n"
    done = shell.full("logs", "web")
    assert (done.returncode, done.stderr) == (
        1, b"dockyard: configured logging driver does not support reading\n"
    )  # fmt: skip


def test_update(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "-m", "64m", "sleep", "1000")
    assert shell("update", "-m", "96m", "--pids-limit", "20", "--cpu-shares", "512", "web") == (
        "web\n"
    )
    host = json.loads(shell("inspect", "-f", "{{json .HostConfig}}", "web"))
    assert (host["Memory"], host["PidsLimit"], host["CpuShares"]) == (96 << 20, 20, 512)
    assert "/ 96MiB" in shell("stats", "--no-stream")
    done = shell.full("update", "web")
    assert done.stderr == b"dockyard: you must provide one or more flags when using this command\n"
    for words, message in (
        (["--memory", "1k"], b"Minimum memory limit allowed is 6MB"),
        (["--restart", "bogus"], b"invalid restart policy 'bogus'"),
        (["--cpu-quota", "1"], b"cpu.cfs_quota_us"),
    ):
        done = shell.full("update", *words, "web")
        assert done.returncode == 1
        assert message in done.stderr or b"CPU cfs quota" in done.stderr
    again = json.loads(shell("inspect", "-f", "{{json .HostConfig}}", "web"))
    assert again == host
    shell("stop", "-t", "0", "web")
    shell("update", "-m", "32m", "web")
    shell("start", "web")
    assert "/ 32MiB" in shell("stats", "--no-stream")


def test_what_vanishes_leaves_nothing(shell: Shell) -> None:
    shell.run("-d", "--rm", "--name", "web", "sleep", "0.1")
    eventually(lambda: shell("ps", "-aq") == "")


def test_prune(shell: Shell) -> None:
    made = [shell.run("-d", "-l", label, "sh", "-c", "echo 12345 > /f").stdout.decode().strip()
            for label in ("keep=1", "app=a", "app=b")]  # fmt: skip
    shell("wait", *made)
    shell.run("-d", "--name", "running", "sleep", "1000")
    assert shell("container", "prune", stdin=b"n\n").startswith("WARNING! This will remove all")
    assert len(shell("container", "ls", "-aq").split()) == 4
    text = shell("container", "prune", "-f", "--filter", "label=app=a")
    assert text == f"Deleted Containers:\n{made[1]}\n\nTotal reclaimed space: 6B\n"
    assert made[0] not in shell("container", "prune", "-f", "--filter", "label!=keep")
    assert shell("ps", "--no-trunc", "-aq").split()[1:] == [made[0]]
    assert shell("container", "prune", "-f", "--filter", "until=1h") == (
        "Total reclaimed space: 0B\n"
    )
    done = shell.full("container", "prune", "-f", "--filter", "colour=red")
    assert (done.returncode, b"invalid filter" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpus", "all"], 'could not select device driver "" with capabilities: [[gpu]]'),
        (
            ["--ulimit", "nofoo=10"],
            'invalid argument "nofoo=10" for "--ulimit" flag: invalid ulimit type: nofoo',
        ),
        (
            ["--ulimit", "nofile=20:10"],
            "ulimit soft limit must be less than or equal to hard limit: 20 > 10",
        ),
        (["--log-driver", "nope"], 'plugin "nope" not found'),
        (["--log-driver", "syslog"], "not implemented"),
        (["--log-opt", "foo=1"], "unknown log opt 'foo' for json-file log driver"),
        (["--log-opt", "max-size=abc"], "invalid size: 'abc'"),
        (["--log-opt", "max-file=0"], "max-file cannot be less than 1"),
        (["--device-cgroup-rule", "x 1:1 r"], "invalid device cgroup format"),
        (["--memory-swappiness", "101"], "Valid memory swappiness range is 0-100"),
        (["--blkio-weight", "5"], "Range of blkio weight is from 10 to 1000"),
        (["--userns", "keep-id"], "--userns: invalid USER mode"),
        (["--platform", "linux/s390x"], "--platform linux/s390x"),
        (
            ["-m", "64m", "--memory-swap", "32m"],
            "Minimum memoryswap limit should be larger than memory limit",
        ),
    ],
)
def test_refusals(shell: Shell, words: list[str], message: str) -> None:
    done = shell.run(*words, "true")
    assert done.returncode == 125
    assert message in done.stderr.decode()
    assert shell("ps", "-aq") == ""


def test_the_group_above(shell: Shell) -> None:
    """cgroups(7): the last field of each line is the path; a namespace of its own would hide it."""
    name = f"above-{shell.root.parent.name}"
    found = out(shell, "--cgroup-parent", f"/{name}", "--cgroupns", "host", "cat",
                "/proc/self/cgroup")  # fmt: skip
    assert {line.split(":")[2].split("/")[-2] for line in found.splitlines() if name in line} == {
        name
    }  # fmt: skip
    assert name in found
    shell("run", "-d", "--name", "below", "--network", "none", "--cgroup-parent", name, "-m", "64m",
          "--rootfs", shell.tree, "sleep", "1000")  # fmt: skip
    assert shell("inspect", "-f", "{{.HostConfig.CgroupParent}}", "below") == f"{name}\n"
    for verb in (["pause"], ["unpause"], ["update", "-m", "80m", "--memory-swap", "90m"],
                 ["top"], ["stats", "--no-stream"], ["exec"]):  # fmt: skip
        shell(*verb, "below", *(["true"] if verb == ["exec"] else []))
    shell("rm", "-f", "below")
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{name}/*/"))
    for text in ("../x", "/", "a/../b"):
        assert shell.run("--rm", "--cgroup-parent", text, "true").returncode == 125


def test_shared_memory(shell: Shell) -> None:
    assert out(shell, "--ipc", "none", "sh", "-c", "test -e /dev/shm || echo none") == "none\n"
    mine = Path(f"/dev/shm/dockyard-{shell.root.parent.name}")
    mine.write_text("seen\n")
    try:
        assert out(shell, "--ipc", "host", "cat", str(mine)) == "seen\n"
        assert out(shell, "--ipc", "private", "sh", "-c", f"cat {mine} || echo none") == "none\n"
    finally:
        mine.unlink()


def test_a_tmpfs_is_hard_unless_it_is_asked_to_be_soft(shell: Shell) -> None:
    """docker run's reference, --tmpfs: "The default options are rw,noexec,nosuid,nodev"."""
    for words, hard in (
        (["--tmpfs", "/x:size=1m"], {"noexec", "nosuid", "nodev"}),
        (["--tmpfs", "/x:exec,size=1m"], {"nosuid", "nodev"}),
        (["--mount", "type=tmpfs,dst=/x,tmpfs-size=1m"], {"noexec", "nosuid", "nodev"}),
    ):
        fields = out(shell, *words, "grep", " /x ", "/proc/mounts").split()[3].split(",")
        assert {"noexec", "nosuid", "nodev"} & set(fields) == hard
        assert "size=1024k" in fields
    done = shell.run("--rm", "--mount", "type=tmpfs,dst=/x,readonly", "touch", "/x/y")
    assert b"Read-only file system" in done.stderr
    done = shell.run("--rm", "--tmpfs", "/x:frob", "true")
    assert (done.returncode, b'invalid tmpfs option ["frob"]' in done.stderr) == (125, True)


def test_what_lies_below_a_bind_mount(shell: Shell, tmp_path: Path) -> None:
    """docker's documentation, "Recursive mounts"."""
    outer, inner = tmp_path / "outer", tmp_path / "outer/inner"
    inner.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", str(inner)], check=True)
    try:
        (inner / "file").touch()
        touch = "touch /x/inner/new 2>&1 || true; ls /x/inner"
        start = f"type=bind,src={outer},dst=/x"
        for more, printed in (
            ("", "file\nnew\n"),
            (",bind-recursive=disabled", "new\n"),
            (",bind-nonrecursive", "new\n"),
            (",readonly", "Read-only file system\nfile\n"),
            (",readonly,bind-recursive=writable", "file\nnew\n"),
            (",readonly,bind-recursive=readonly,bind-propagation=rprivate",
             "Read-only file system\nfile\n"),
        ):  # fmt: skip
            found = out(shell, "--mount", start + more, "sh", "-c", touch)
            assert found.endswith(printed), (more, found)
            for place in (outer / "inner/new", inner / "new"):
                place.unlink(missing_ok=True)
        found = out(shell, "-v", f"{outer}:/x:ro", "sh", "-c", touch)
        assert found.endswith("Read-only file system\nfile\n")
    finally:
        subprocess.run(["umount", str(inner)], check=True)


def test_what_each_line_of_a_log_says_of_its_container(shell: Shell) -> None:
    """docker logs' reference, --details; docker's "JSON File logging driver"."""
    words = ("-l", "team=a b", "-e", "STAGE=1", "--log-opt", "labels=team", "--log-opt",
             "env-regex=^ST", "--log-opt", "tag={{.Name}}/{{.ID}}")  # fmt: skip
    shell.run("--name", "said", *words, "sh", "-c", "echo one; echo two >&2")
    short = shell("ps", "-aq").strip()
    head = f"STAGE=1,tag=said%2F{short},team=a+b"
    assert shell("logs", "--details", "said") == f"{head} one\n"
    assert shell("logs", "said") == "one\n"
    path = Path(shell("inspect", "-f", "{{.LogPath}}", "said").strip())
    assert json.loads(path.read_text().splitlines()[0])["attrs"] == {
        "team": "a b", "STAGE": "1", "tag": f"said/{short}",
    }  # fmt: skip
    shell.run("--name", "plain", "echo", "x")
    assert shell("logs", "--details", "plain") == " x\n"
    for option in ("tag={{.Nope}}", "tag={{if}}", "env-regex=(", "mode=non-blocking"):
        assert shell.run("--rm", "--log-opt", option, "true").returncode == 125


def test_the_local_log(shell: Shell) -> None:
    shell.run(
        "--name",
        "kept",
        "--log-driver",
        "local",
        "--log-opt",
        "max-size=1k",
        "--log-opt",
        "max-file=2",
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8 9; do echo $i$(seq 90); done",
    )
    assert shell("logs", "--tail", "1", "kept").startswith("9")
    assert "1" not in {line[0] for line in shell("logs", "kept").splitlines()}  # rotated away
    assert shell("inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "kept") == "local\n"


def test_a_switch_may_be_off(shell: Shell) -> None:
    done = shell.run("--rm=true", "--read-only=false", "-i=0", "touch", "/x")
    assert done.returncode == 0, done.stderr
    assert shell("ps", "-aq") == ""


def test_as_much_swap_as_memory(shell: Shell) -> None:
    """docker run's reference, --memory-swap: where it is not set, twice the memory in all."""
    words = ("-m", "64m", "sh", "-c", "cd /sys/fs/cgroup; cat memory/memory.memsw.limit_in_bytes "
             "2>/dev/null || cat memory.swap.max")  # fmt: skip
    assert out(shell, *words) in (f"{128 << 20}\n", f"{64 << 20}\n")
    shell("run", "-d", "--name", "small", "--network", "none", "-m", "64m", "--rootfs", shell.tree,
          "sleep", "1000")  # fmt: skip
    form = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"
    assert shell("inspect", "-f", form, "small") == f"{64 << 20} {128 << 20}\n"
    done = shell.full("update", "-m", "200m", "small")
    assert b"Memory limit should be smaller than already set memoryswap limit" in done.stderr


def test_what_inspect_says_of_an_address(shell: Shell) -> None:
    """Engine API, ContainerInspect: what `ip address` shows inside."""
    shell("run", "-d", "--name", "web", "--cap-add", "sys_nice", "--rootfs", shell.tree, "sleep",
          "1000")  # fmt: skip
    form = "{{json .NetworkSettings.Networks.bridge}}"
    found = json.loads(shell("inspect", "-f", form, "web"))
    shown = shell("exec", "web", "ip", "address", "show", "eth0")
    assert f"inet {found['IPAddress']}/{found['IPPrefixLen']} " in shown
    assert f"link/ether {found['MacAddress']} " in shown
    assert shell("inspect", "-f", "{{.HostConfig.CapAdd}}", "web") == "[CAP_SYS_NICE]\n"
    lower = shell("inspect", "-f", "{{.GraphDriver.Data.LowerDir}}", "web").strip()
    assert Path(lower).is_dir()


def test_a_command_that_cannot_be_who_or_where_it_shall(shell: Shell) -> None:
    """docker exec: 126, as for all that cannot be invoked."""
    shell.run("-d", "--name", "web", "sleep", "1000")
    for words, message in ((["-u", "nobody-here"], b"no matching entries in passwd file"),
                           (["-w", "rel"], b"Cwd must be an absolute path")):  # fmt: skip
        done = shell.full("exec", *words, "web", "true")
        assert (done.returncode, message in done.stderr) == (126, True)

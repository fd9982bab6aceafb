"""What surrounds a step: its limits, host name, hosts, network; programs of other machines."""

import json
import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from dockyard.node.network.bridges import DEFAULT, BridgeNetworks
from helpers.buildbench import MEET, PROGRAM, Bench, building, cache, wait_for
from helpers.leaks import files_with, left_behind
from helpers.program import eventually

pytestmark = pytest.mark.root


def test_limits_of_steps(bench: Bench) -> None:
    step = "FROM busybox\nRUN ulimit -n > /n; ulimit -Hn > /hn; ulimit -c > /c\n"
    step += "RUN df -k /dev/shm | awk 'NR == 2 {print $2}' > /shm\n"
    bench.build(step, "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--shm-size", "2m")
    found = bench.files()
    assert (found["n"], found["hn"], found["c"]) == ("100\n", "200\n", "0\n")
    assert found["shm"] == "2048\n"
    told = bench.build(step, "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--shm-size", "2m")
    assert "CACHED" in told
    assert "CACHED" not in bench.build(step, "--ulimit", "nofile=101:200")
    for words, reason in (
        (("--ulimit", "what=1"), "invalid ulimit type: what"),
        (("--ulimit", "nofile=2:1"), "soft limit must be less than or equal to hard limit"),
        (("--memory", "1m"), "Minimum memory limit allowed is 6MB"),
        (("--resource", "disk=1"), "--resource 'disk=1'"),
        (("--cgroup-parent", "../x"), "a path of a group is expected"),
        (("--cpuset-cpus", "a"), "numbers like 0-2,4 are expected"),
    ):
        assert reason in bench.fail(step, *words)


def test_the_control_group_of_steps(bench: Bench) -> None:
    """Below the parent that was asked for, with the limits, and gone afterwards."""
    parent = f"dockyard-test-{os.getpid()}"
    folder = "/sys/fs/cgroup"
    step = (
        f"FROM busybox\nRUN {MEET} cat {folder}/memory/memory.limit_in_bytes > /m; "
        f"cat {folder}/cpu/cpu.shares > /s; {wait_for('go')}\n"
    )
    bench.build(f"FROM busybox\nRUN {MEET} true\n")
    groups = [path for path in Path(folder).iterdir() if path.is_dir()]

    def made() -> list[Path]:
        parents = [group / parent for group in groups if (group / parent).is_dir()]
        return [each for place in parents for each in place.iterdir() if each.is_dir()]

    words = ("--cgroup-parent", f"/{parent}", "-m", "64m", "--resource", "cpu-shares=300")
    try:
        with building(bench, "limited", step, *words):
            eventually(made)
            (cache(bench, "meet") / "go").touch()
        assert made() == []
        bench.name = "limited"
        assert (bench.said("m"), bench.said("s")) == (f"{64 << 20}\n", "300\n")
    finally:
        for group in groups:
            if (group / parent).is_dir():
                (group / parent).rmdir()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_g10_a_build_that_is_ended_in_its_middle_leaves_a_store_that_verifies(
    bench: Bench, how: int
) -> None:
    """Also below a group of the caller's; nothing is mounted, connected or running afterwards."""
    parent = f"dockyard-test-{os.getpid()}"
    step = (
        f"FROM busybox\nRUN {MEET} --mount=type=secret,id=s echo half > /half; touch /meet/in; "
        "sleep 1000\n"
    )
    (bench.base / "s").write_text("planted")
    bench.build(f"FROM busybox\nRUN {MEET} true\n")
    before = bench.image.id
    env = {**os.environ, "DOCKYARD_ROOT": str(bench.base / "data")}
    bench.write({"Dockerfile": step})
    words = ["-t", "out", "--cgroup-parent", parent, "--secret", f"id=s,src={bench.base}/s"]
    process = subprocess.Popen([PROGRAM, "build", *words, str(bench.context)], env=env,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    groups = [path for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir()]
    try:
        eventually(lambda: (cache(bench, "meet") / "in").exists() or process.poll() is not None)
        process.send_signal(how)
        process.wait(20)
        networks = BridgeNetworks(str(bench.base / "data"))
        eventually(lambda: not networks.leases(DEFAULT))
        bridge = left_behind(bench.base / "data")  # it lasts; nothing else does
        assert [each.partition(":")[0] for each in bridge] == ["links", "nft tables"]
        networks.teardown()
        eventually(lambda: not left_behind(bench.base / "data"))
        eventually(lambda: not any(
            each.is_dir() for group in groups if (group / parent).is_dir()
            for each in (group / parent).iterdir()))  # fmt: skip
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        for group in groups:
            if (group / parent).is_dir():
                (group / parent).rmdir()
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(bench.base / "data") not in mounts
    done = subprocess.run([PROGRAM, "image", "verify"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench.image.id == before
    bench.build(f"FROM busybox\nRUN {MEET} rm /meet/in\n")  # sweeps what was begun
    assert {path.name for path in (bench.base / "data/images/ingest").iterdir()} == {"lock"}
    assert files_with(b"planted", bench.base / "data") == []


def test_a_host_name(bench: Bench) -> None:
    bench.build("FROM busybox\nRUN hostname > /h\n")
    assert bench.said("h") == "buildkitsandbox\n"
    bench.build("FROM busybox\nRUN hostname > /h\n", "--build-arg",
                "BUILDKIT_SANDBOX_HOSTNAME=other.host")  # fmt: skip
    assert bench.said("h") == "other.host\n"
    told = bench.fail("FROM busybox\n", "--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=a b")
    assert "BUILDKIT_SANDBOX_HOSTNAME=a b: a host's name" in told


def test_this_machine_s_address(bench: Bench) -> None:
    """``host-gateway``: what the default route leads to."""
    bench.build(
        "FROM busybox\nRUN ip route | awk '/default/ {print $3}' > /r; cat /etc/hosts > /hosts\n",
        "--network", "default", "--add-host", "host.docker.internal=host-gateway",
        "--add-host", "six:[2001:db8::1]",
    )  # fmt: skip
    hosts = dict(line.split()[::-1] for line in bench.said("hosts").splitlines()[-2:])
    assert hosts == {"host.docker.internal": bench.said("r").strip(), "six": "2001:db8::1"}


def test_networks_of_single_steps(bench: Bench) -> None:
    """``--network=none`` has loopback alone, ``host`` what this machine has."""
    bench.build(
        "FROM busybox\nRUN --network=none ls /sys/class/net > /none\n"
        "RUN --network=host ls /sys/class/net > /host\nRUN ls /sys/class/net > /default\n",
        "--allow", "network.host", "--network", "default",
    )  # fmt: skip
    found = bench.files()
    assert found["none"] == "lo\n"
    assert set(found["host"].split()) >= {path.name for path in Path("/sys/class/net").iterdir()
                                          if path.name == "lo"}  # fmt: skip
    assert "lo" in found["default"].split()
    assert len(found["default"].split()) > 1


def test_arguments_that_steer_the_builder(bench: Bench) -> None:
    dockerfile = "# syntax=example.com/other:1\nFROM busybox\n"
    assert "other frontends: not implemented" in bench.fail(dockerfile)
    for syntax in ("dockerfile.v0", "docker/dockerfile:1.9"):
        bench.build(dockerfile, "--build-arg", f"BUILDKIT_SYNTAX={syntax}")
    told = bench.fail("FROM busybox\n", "--build-arg", "BUILDKIT_SYNTAX=me/mine")
    assert "BUILDKIT_SYNTAX=me/mine: other frontends: not implemented" in told
    told = bench.fail("FROM busybox\n", "--build-arg", "BUILDKIT_DISABLE_FILEOP=1")
    assert "BUILDKIT_DISABLE_FILEOP: support for it was removed" in told
    told = bench.fail("FROM busybox\n", "--build-arg", "BUILDKIT_INLINE_CACHE=maybe")
    assert "BUILDKIT_INLINE_CACHE=maybe: true or false is expected" in told
    told = bench.build("FROM busybox\n", "--build-arg", "BUILDKIT_BUILD_NAME=x", "--build-arg",
                       "BUILDKIT_NOBODY=1")  # fmt: skip
    assert "[Warning] build-arg BUILDKIT_BUILD_NAME: " in told
    assert "['BUILDKIT_NOBODY'] were not consumed" in told


def test_the_build_s_time(bench: Bench) -> None:
    """SOURCE_DATE_EPOCH as build argument, from the environment, and as the file's own default."""
    own = "ARG SOURCE_DATE_EPOCH=1000000000\nFROM busybox\nARG SOURCE_DATE_EPOCH\n" \
          "RUN echo $SOURCE_DATE_EPOCH > /e\n"  # fmt: skip
    bench.build(own)
    assert (bench.image.config.created, bench.said("e")) == ("2001-09-09T01:46:40Z", "1000000000\n")
    bench.write({"Dockerfile": own})
    assert bench.try_build(env={"SOURCE_DATE_EPOCH": "86400"}).returncode == 0
    assert (bench.image.config.created, bench.said("e")) == ("1970-01-02T00:00:00Z", "86400\n")
    bench.build(own, "--build-arg", "SOURCE_DATE_EPOCH=0")
    assert bench.image.config.created == "1970-01-01T00:00:00Z"
    assert "seconds since 1970" in bench.fail(own, "--build-arg", "SOURCE_DATE_EPOCH=today")


def other_machine(text: bytes) -> bytes:
    """An ELF program for arm64 that writes a text and ends with 0: no library, no file."""
    base, head = 0x400000, 64 + 56
    code = struct.pack(
        "<8I", 0xD2800020, 0x100000E1, 0xD2800002 | len(text) << 5, 0xD2800808, 0xD4000001,
        0xD2800000, 0xD2800BA8, 0xD4000001,
    )  # fmt: skip
    data = code + text
    elf = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = head + len(data)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + data


HANDLER = (
    r":{name}:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:"
    "{program}:F"
)


@pytest.fixture
def emulated() -> list[str]:
    """The beginning of a command that sees binfmt_misc with qemu's handler for arm64. The kernel
    has one table for all; this handler is there for that command's time."""
    name = f"dockyard-test-{os.getpid()}"
    folder = "/proc/sys/fs/binfmt_misc"
    inside = ["unshare", "--mount", "sh", "-c"]
    mount = f"mount -t binfmt_misc none {folder}"
    if subprocess.run([*inside, mount], capture_output=True, check=False).returncode != 0:
        pytest.skip("binfmt_misc can't be mounted")
    handler = HANDLER.format(name=name, program="/usr/bin/qemu-aarch64-static")
    script = (
        f"{mount} && printf %s '{handler}' > {folder}/register && {{ \"$@\"; code=$?; "
        f"echo -1 > {folder}/{name}; exit $code; }}"
    )
    return [*inside, script, "sh"]


def test_programs_of_another_machine_run_where_binfmt_can(
    bench: Bench, emulated: list[str]
) -> None:
    (bench.context / "hello").write_bytes(other_machine(b"hello from arm64\n"))
    (bench.context / "hello").chmod(0o755)
    bench.write({"Dockerfile": 'FROM scratch\nARG TARGETARCH\nCOPY hello /\nRUN ["/hello"]\n'
                 "LABEL arch=$TARGETARCH\n"})  # fmt: skip
    env = {**os.environ, "DOCKYARD_ROOT": str(bench.base / "data")}
    words = ["build", "-t", "out", "--network", "none", "--progress", "plain", "--platform",
             "linux/arm64", str(bench.context)]  # fmt: skip
    done = subprocess.run([*emulated, PROGRAM, *words], env=env, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hello from arm64" in done.stderr
    config = bench.image.config
    assert (config.platform.architecture, dict(config.labels)) == ("arm64", {"arch": "arm64"})
    told = bench.fail((bench.context / "Dockerfile").read_text(), "--platform", "linux/arm64",
                      "--no-cache")  # fmt: skip
    assert "a program for linux/arm64 on this machine: no binfmt_misc handler for it" in told


def test_progress_for_programs(bench: Bench) -> None:
    """``rawjson``: BuildKit's SolveStatus, an object a line."""
    bench.write({"Dockerfile": "FROM busybox\nRUN echo out; echo more >&2\nRUN exit 3\n"})
    done = bench.try_build("--progress", "rawjson")
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    vertexes = {item["digest"]: item for event in events for item in event.get("vertexes", ())}
    names = [item["name"] for item in vertexes.values()]
    assert names == ["[1/3] FROM busybox", "[2/3] RUN echo out; echo more >&2", "[3/3] RUN exit 3"]
    assert all(item["started"] <= item["completed"] for item in vertexes.values())
    assert "exit code: 3" in list(vertexes.values())[-1]["error"]
    logs = [item for event in events for item in event.get("logs", ())]
    assert all(item["vertex"] in vertexes for item in logs)
    bench.write({"Dockerfile": "FROM busybox\nRUN echo out; echo more >&2\n"})
    told = bench.try_build("--progress", "rawjson").stderr
    assert '"cached": true' in told

"""``RUN --mount``: what a step sees, and what is left of it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.buildbench import Bench
from helpers.leaks import files_with, left_behind

pytestmark = pytest.mark.root
SECRET = "planted-4f1b7c9e-secret"


def test_bind(bench: Bench) -> None:
    bench.write({"src/a": "A", "src/b.log": "no", ".dockerignore": "**/*.log\n", "one": "1"})
    bench.build(
        """
        FROM busybox AS build
        RUN mkdir /out && echo made > /out/made
        FROM busybox
        RUN --mount=target=/ctx ls /ctx/src > /seen && cat /ctx/src/a >> /seen
        RUN --mount=type=bind,source=src,target=/ro touch /ro/x 2> /error || echo refused > /refused
        RUN --mount=type=bind,source=src,target=/rw,rw echo x > /rw/a && cat /rw/a > /written
        RUN --mount=from=build,source=/out,target=/mnt/deep cat /mnt/deep/made > /made
        RUN --mount=source=one,target=/etc/one cat /etc/one > /single
        """
    )
    found = bench.files()
    assert found["seen"] == "a\nA"
    assert found["refused"] == "refused\n"
    assert (found["written"], found["made"], found["single"]) == ("x\n", "made\n", "1")
    assert (bench.context / "src/a").read_text() == "A"  # what was written is forgotten
    assert not {"ctx/src/a", "rw/a", "etc/one", "mnt/deep/made"} & set(found)
    assert not (bench.top(1) / "mnt").exists()  # what mounts lie on goes with them


def test_cache(bench: Bench) -> None:
    step = (
        "FROM busybox\nARG N\n"
        "RUN --mount=type=cache,target=/c echo $N >> /c/log; cat /c/log > /log\n"
    )
    bench.build(step, "--build-arg", "N=1")
    bench.build(step, "--build-arg", "N=2")
    assert bench.said("log") == "1\n2\n"
    assert "c/log" not in bench.files()
    bench.build(
        "FROM busybox\nRUN mkdir /seed && echo s > /seed/f\n"
        "RUN --mount=type=cache,id=x,target=/c,from=busybox,source=/etc,mode=0700,uid=5 "
        "ls /c > /list; stat -c '%a %u' /c > /stat\n"
        "RUN --mount=type=cache,id=x,target=/c,ro touch /c/x 2> /dev/null || echo ro > /ro\n"
    )
    assert "passwd" in bench.said("list")
    assert bench.said("stat") == "700 5\n"
    assert bench.said("ro") == "ro\n"


def test_e03_a_cache_s_id_and_source_name_nothing_outside(bench: Bench) -> None:
    canary = bench.base / "canary"
    canary.write_text("canary")
    bench.build(
        f"FROM busybox\nRUN --mount=type=cache,id=../../../..{bench.base},target=/c ls -A /c > /l\n"
        f"RUN --mount=type=cache,id=k,target=/c ln -s / /c/root && ln -s {bench.base} /c/out\n"
    )
    assert bench.said("l") == ""
    for source in ("root", "out", "../..", "root/etc/hostname"):
        told = bench.fail(
            f"FROM busybox\nRUN --mount=type=cache,id=k,target=/c,source={source}/canary ls /c\n"
        )
        assert "is not in cache k" in told
    bench.write({"f": "f"})
    bench.build(
        "FROM busybox\n"
        "RUN --mount=type=bind,source=f,target=/x/y/z rm -rf /x/y 2>/dev/null; "
        f"mv /x /gone 2>/dev/null; ln -s {bench.base} /x || true\n"
    )
    assert canary.read_text() == "canary"
    assert left_behind(bench.base / "data") == []


def test_tmpfs(bench: Bench) -> None:
    bench.build(
        "FROM busybox\n"
        "RUN --mount=type=tmpfs,target=/t,size=1m "
        "grep ' /t ' /proc/mounts > /m; dd if=/dev/zero of=/t/f bs=1k count=2000 2> /f; true\n"
    )
    assert "size=1024k" in bench.said("m")
    assert "t/f" not in bench.files()


@pytest.mark.parametrize("how", ["file", "env"])
def test_e08_a_secret_is_in_no_layer_cache_or_history(bench: Bench, how: str) -> None:
    secret = bench.base / "token"
    secret.write_text(SECRET)
    given = f"id=tok,src={secret}" if how == "file" else "id=tok,env=TOKEN"
    bench.write({"Dockerfile": (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=tok wc -c < /run/secrets/tok > /length; "
        "stat -c '%a %u' /run/secrets/tok > /stat\n"
        "RUN --mount=type=secret,id=tok,target=/key,mode=0440,uid=33 stat -c '%a %u' /key > /k\n"
        "RUN --mount=type=secret,id=tok,env=GIVEN echo ${#GIVEN} > /env\n"
        "RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent\n"
    )})  # fmt: skip
    done = bench.try_build("--secret", given, env={"TOKEN": SECRET})
    assert done.returncode == 0, done.stderr
    found = bench.files()
    size = str(len(SECRET))
    assert found["length"].strip() == size
    assert (found["stat"], found["k"], found["env"].strip()) == ("400 0\n", "440 33\n", size)
    assert SECRET not in done.stderr + done.stdout
    secret.unlink()
    assert files_with(SECRET.encode(), bench.base) == []
    assert "run/secrets/tok" not in found
    told = bench.fail("FROM busybox\nRUN --mount=type=secret,id=no,required true\n")
    assert "secret no: not found" in told


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    key, place = tmp_path / "key", str(tmp_path / "agent.sock")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "planted", "-f", key],
                   check=True)  # fmt: skip
    process = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # it listens before it says so
    try:
        env = {**os.environ, "SSH_AUTH_SOCK": place}
        subprocess.run(["ssh-add", "-q", key], env=env, check=True)
        yield place
    finally:
        process.terminate()
        process.wait(10)


def test_ssh(bench: Bench, agent: str) -> None:
    """The step asks the agent for its keys, in the agent's own protocol."""
    bench.write({"ask.py": "", "Dockerfile": (
        "FROM busybox\n"
        "RUN --mount=type=ssh,mode=0666 echo $SSH_AUTH_SOCK > /sock; "
        "stat -c %a $SSH_AUTH_SOCK > /m; "
        "printf '\\000\\000\\000\\001\\013' | nc local:$SSH_AUTH_SOCK -w 2 > /answer || true\n"
        "RUN test -z \"$SSH_AUTH_SOCK\"\n"
    )})  # fmt: skip
    done = bench.try_build("--ssh", f"default={agent}")
    assert done.returncode == 0, done.stderr
    assert bench.said("sock").startswith("/run/buildkit/ssh_agent.")
    assert bench.said("m") == "666\n"
    told = bench.fail("FROM busybox\nRUN --mount=type=ssh,required true\n")
    assert "ssh default: no agent" in told


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("type=wrong,target=/x", "unsupported mount type 'wrong'"),
        ("type=cache", "mount target is required"),
        ("type=tmpfs,target=/", "invalid mount target"),
        ("type=cache,target=/x,sharing=all", "unsupported sharing value 'all'"),
        ("type=bind,target=/x,color=red", "unexpected key 'color'"),
        ("type=cache,target=/x,mode=9", "invalid value for mode"),
        ("type=tmpfs,target=/x,size=big", "invalid value for size"),
        ("type=secret,required=perhaps", "invalid value for required"),
        (
            "typ=tmpfs,target=/x",
            "unexpected key 'typ' in --mount=typ=tmpfs,target=/x (did you mean type?)",
        ),
        ("from=$PATH,target=/x", "'from' doesn't support variable expansion"),
    ],
)
def test_mistakes(bench: Bench, mount: str, reason: str) -> None:
    told = bench.fail(f"FROM busybox\nRUN --mount={mount} true\n")
    assert "Dockerfile:2: RUN: " in told
    assert reason in told


def test_variables_in_mounts(bench: Bench) -> None:
    """Cases of the frontend's own tests: any value may have some, `from` apart."""
    bench.build(
        """
        ARG META_PATH=/tmp/meta
        FROM busybox AS one
        ENV WHERE=/mycache ID=mycache
        ARG KIND=cache
        ARG MODE=0751
        RUN --mount=type=cache,target=/mycache touch /mycache/foo
        RUN --mount=type=cache,target=$WHERE [ -f $WHERE/foo ]
        RUN --mount=type=$KIND,id=$ID,target=/a,mode=${MODE},uid=1001,gid=1002 touch /a/bar && \
            [ "$(stat -c "%u %g %f" /a)" == "1001 1002 41e9" ]
        FROM one
        ARG META_PATH
        RUN --mount=type=$KIND,id=$ID,target=$META_PATH [ -f /tmp/meta/bar ]
        RUN --mount=type=cache,target=/mycache2 [ ! -f /mycache2/foo ]
        """
    )
    told = bench.fail("FROM busybox\nENV K=what\nRUN --mount=type=$K,target=/x true\n")
    assert "Dockerfile:3: RUN: unsupported mount type 'what'" in told
    told = bench.fail("FROM busybox\nRUN --mont=target=/x true\n")
    assert "unknown flag: --mont (did you mean mount?)" in told

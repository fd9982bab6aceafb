"""A real agent, a real sshd: ssh in a RUN, git over ssh in an ADD, keys where there is no agent."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.buildbench import Bench
from helpers.leaks import files_with
from helpers.program import eventually
from helpers.registry_server import free_port

pytestmark = pytest.mark.root
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")


class Host(NamedTuple):
    """An sshd on this machine that takes one key."""

    port: int
    key: Path
    repository: Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    folder = tmp_path / "sshd"
    folder.mkdir(0o700)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "planted-comment",
                        "-f", folder / name], check=True)  # fmt: skip
    repository = tmp_path / "app.git"
    repository.mkdir()
    (repository / "file").write_text("over ssh")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*GIT, *words], cwd=repository, check=True)
    port = free_port()
    Path("/run/sshd").mkdir(exist_ok=True)  # where it drops its rights
    config = folder / "config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/key.pub\nStrictModes no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
    )
    log = (folder / "log").open("w")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=log)
    try:
        eventually(lambda: "Server listening" in (folder / "log").read_text())
        yield Host(port, folder / "key", repository)
    finally:
        server.terminate()
        server.wait(10)
        log.close()


@pytest.fixture
def agent(host: Host, tmp_path: Path) -> Iterator[str]:
    place = str(tmp_path / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # it listens before it says so
    try:
        env = {**os.environ, "SSH_AUTH_SOCK": place}
        subprocess.run(["ssh-add", "-q", host.key], env=env, check=True)
        yield place
    finally:
        process.terminate()
        process.wait(10)


def with_ssh(bench: Bench) -> str:
    """A Dockerfile's beginning: busybox with this machine's ssh and what it is linked to."""
    program = shutil.which("ssh")
    assert program is not None
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in [program, *re.findall(r"(/\S+) \(0x", told)]:
        place = bench.context / "ssh" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return "FROM busybox\nCOPY ssh /\n"


def step(port: int) -> str:
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    return (
        "RUN --network=host --mount=type=ssh "
        f"ssh {options} -p {port} root@127.0.0.1 echo said by the host > /said\n"
    )


def test_ssh_in_a_step_with_the_agent_s_key(bench: Bench, host: Host, agent: str) -> None:
    dockerfile = with_ssh(bench) + step(host.port)
    bench.build(dockerfile, "--ssh", f"default={agent}", "--allow", "network.host")
    assert bench.said("said") == "said by the host\n"
    told = bench.fail(dockerfile + "RUN true\n", "--no-cache", "--allow", "network.host")
    assert "Permission denied (publickey)" in told


def test_ssh_with_a_key_s_file(bench: Bench, host: Host) -> None:
    """The key is in no layer and no file of the store; its agent ends with the build."""
    shutil.copy(host.key, bench.base / "open-key")
    (bench.base / "open-key").chmod(0o644)  # as a CI system leaves it
    words = ("--ssh", f"default={bench.base}/open-key", "--allow", "network.host")
    bench.build(with_ssh(bench) + step(host.port), *words)
    assert bench.said("said") == "said by the host\n"
    secret = host.key.read_bytes().splitlines()[2]
    assert files_with(secret, bench.base / "data") == []
    assert agents(bench.base / "data") == []


def agents(data: Path) -> list[str]:
    """Processes of ssh-agent whose socket a build of this data root made."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                mounts = (folder / "mountinfo").read_text()
            except OSError:
                continue
            if words[0] == b"ssh-agent" and str(data) in mounts:
                found.append(folder.name)
    return found


@pytest.mark.parametrize("what", ["no key", "passphrase", "absent"])
def test_keys_that_are_none(bench: Bench, what: str) -> None:
    path = bench.base / "bad"
    if what == "no key":
        path.write_text("text")
    elif what == "passphrase":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path],
                       check=True)  # fmt: skip
    told = bench.fail("FROM busybox\nRUN --mount=type=ssh true\n", "--ssh", f"default={path}")
    assert f"--ssh: {path}: no private key without a passphrase" in told or (
        what == "absent" and f"{path}: No such file or directory" in told
    )
    assert agents(bench.base / "data") == []


def test_git_over_ssh(bench: Bench, host: Host, agent: str) -> None:
    known = Path("~/.ssh/known_hosts").expanduser()
    before = known.read_bytes() if known.exists() else None
    address = f"ssh://root@127.0.0.1:{host.port}{host.repository}"
    dockerfile = f"FROM scratch\nADD {address} /got/\n"
    bench.build(dockerfile, "--ssh", f"default={agent}")
    assert bench.said("got/file") == "over ssh"
    assert (known.read_bytes() if known.exists() else None) == before
    told = bench.fail(dockerfile, "--no-cache")
    assert "Dockerfile:2: ADD: git fetch: " in told


def test_a_context_over_ssh(bench: Bench, host: Host, agent: str) -> None:
    (host.repository / "Dockerfile").write_text("FROM scratch\nCOPY . /here/\n")
    subprocess.run([*GIT, "add", "."], cwd=host.repository, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "y"], cwd=host.repository, check=True)
    address = f"ssh://root@127.0.0.1:{host.port}{host.repository}#main"
    done = bench.try_build_at(address, "--ssh", f"default={agent}")
    assert done.returncode == 0, done.stderr
    assert bench.said("here/file") == "over ssh"
    assert "here/.git/HEAD" not in bench.files()
    kept = ("--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1")
    assert bench.try_build_at(address, "--ssh", f"default={agent}", *kept).returncode == 0
    assert "here/.git/HEAD" in bench.files()

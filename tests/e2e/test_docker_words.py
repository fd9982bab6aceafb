"""What `run` says of words that make no sense, against what docker's own client says of them.

The client finds these mistakes itself: it needs no daemon for them, and is told of none that is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from helpers.program import Shell

pytestmark = pytest.mark.root

WORDS = (
    "--memory x", "--memory -1", "--memory 1.5.5m", "--memory-swap x", "--memory-reservation 5z",
    "--kernel-memory x", "--shm-size x", "--shm-size -1", "--cpus x", "--pids-limit x",
    "--oom-score-adj x", "--cpu-shares x", "--stop-timeout x", "--health-retries x",
    "--memory-swappiness 200",
    "--ulimit x", "--ulimit nofile", "--ulimit nofile=20:10", "--ulimit nofile=x", "--ulimit foo=1",
    "--blkio-weight-device /dev/sda:5", "--blkio-weight-device sda:500",
    "--device-read-bps /dev/sda:x", "--device-write-iops /dev/sda:x", "--device-read-iops sda:5",
    "--device-cgroup-rule nonsense",
    "--mount type=bind,src=/etc", "--mount src", "--mount type=bind,src=/etc,dst=/x,foo=bar",
    "--mount type=bind,src=/etc,dst=/x,volume-nocopy=true",
    "--mount type=tmpfs,dst=/x,tmpfs-size=x",
    "--mount type=tmpfs,dst=/x,tmpfs-mode=9", "--mount type=volume,dst=/x,tmpfs-size=1m",
    "--sysctl kernel.hostname=x", "--sysctl x", "--dns x", "--add-host x", "--add-host x:y",
    "--link a:b:c", "-e =x", "-l =x", "--env-file /no/such/file", "--label-file /no/such/file",
    "--rm=maybe", "--init=x", "--sig-proxy=foo", "-a foo", "--security-opt seccomp=/no/such/file",
    "--health-interval x", "--health-retries -1", "--no-healthcheck --health-cmd x",
    "--restart on-failure:x", "--restart always --rm", "--pid foo", "--uts foo", "--userns foo",
    "--cgroupns foo", "-p x", "-p 99999:80", "-p 80:80/foo", "-p 1.2.3:80:80", "-v :/x",
    "--storage-opt x", "--platform linux --foo", "-x", "--name",
)  # fmt: skip
LEAD = re.compile(r"^(?:docker|dockyard)(?: run)?: ")
ADVICE = re.compile(r"\.?\s*(?:See|Run) '(?:docker|dockyard) run --help'.*", re.DOTALL)


def said(stderr: str) -> str:
    """The message alone: without the program's name, and where it says to look for help."""
    first = ADVICE.sub("", stderr.partition("\n\nUsage:")[0])
    return LEAD.sub("", first).strip().removesuffix(".")


def client() -> str:
    """docker's client. Its words are those of version 28."""
    found = shutil.which("docker") or pytest.skip("docker is not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.split()[2].partition(".")[0]) < 28:
        pytest.skip("docker is not installed")
    return found


@pytest.mark.parametrize("words", WORDS)
def test_words_that_make_no_sense(shell: Shell, words: str) -> None:
    line = ["run", *words.split(), *([] if words == "--name" else ["image", "true"])]
    env = {**os.environ, "DOCKER_HOST": "unix:///no/such/socket", "DOCKYARD_ROOT": str(shell.root)}
    theirs = subprocess.run([client(), *line], capture_output=True, text=True, timeout=60, env=env,
                            stdin=subprocess.DEVNULL)  # fmt: skip
    ours = shell.full(*line)
    assert "no such file or directory" not in said(theirs.stderr) or "/no/such/file" in words
    assert (ours.returncode, said(ours.stderr.decode())) == (
        theirs.returncode, said(theirs.stderr)
    )  # fmt: skip

"""Every flag that docker's client has is one of ours, or is on the list of those that are not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.program import Shell

pytestmark = pytest.mark.root
PAGE = Path(__file__).resolve().parents[2] / "docs/conformance/docker-cli.md"
VERBS = ("run", "create", "start", "exec", "ps", "logs", "attach", "stop", "restart", "kill", "rm",
         "wait", "top", "stats", "inspect", "pause", "unpause", "update", "rename", "diff", "cp",
         "export", "commit", "events", "port")  # fmt: skip
NO_OPERANDS = ("ps", "stats", "events")
VALUES = {"--type": "container"}
FLAG = re.compile(r"^ +(?:(-\w), )?(--[a-z][a-z0-9-]*)(?: +(\w+))?  ", re.MULTILINE)


def refused() -> dict[str, set[str]]:
    """Verb -> flags that the page says are refused by name."""
    found: dict[str, set[str]] = {}
    for line in PAGE.read_text().partition("## Taken")[0].splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[2].startswith("--") and cells[2] != "---":
            for verb in cells[1].split(", "):
                found.setdefault(verb, set()).update(cells[2].split(", "))
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_each_flag_is_known(shell: Shell, verb: str) -> None:
    """All of them at once, and one that nobody has: that one is named, as the first unknown."""
    docker = shutil.which("docker") or pytest.skip("docker is not installed")
    help_ = subprocess.run([docker, verb, "--help"], capture_output=True, text=True, check=True)
    flags = [found for found in FLAG.findall(help_.stdout) if found[1] != "--help"]
    operands = ["one", "two"][: 2 if verb in ("exec", "rename", "cp") else verb not in NO_OPERANDS]
    for which in (0, 1):
        words = [verb]
        for names in flags:
            if names[which] and names[1] not in refused().get(verb, set()):
                values = [VALUES.get(names[1], "1")] if names[2] else []
                words += [names[which], *values]
        done = shell.full(*words, "--no-such-flag", *operands)
        assert "unknown flag: --no-such-flag" in done.stderr.decode(), done.stderr


@pytest.mark.parametrize(
    ("verb", "flag"), sorted((verb, flag) for verb, flags in refused().items() for flag in flags)
)
def test_what_is_refused_says_so(shell: Shell, verb: str, flag: str) -> None:
    value = {"--ip6": "2001:db8::1", "--storage-opt": "size=1G", "--platform": "windows/amd64",
             "--isolation": "hyperv", "--gpus": "all"}.get(flag, "x")  # fmt: skip
    alone = flag in ("--use-api-socket", "--link")
    rest = ["name"] if verb in ("start", "rm") else ["--network", "mine", "image", "true"]
    done = shell.full(verb, flag, *([] if alone else [value]), *rest)
    said = done.stderr.decode()
    assert done.returncode != 0
    assert "Traceback" not in said
    assert re.search("not implemented|not found|only supports|supported|device driver", said), said
    assert shell("ps", "-aq") == ""

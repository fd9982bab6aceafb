"""G20: a container's pid belongs to somebody else by now; runc's state has its start time too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from helpers.ociruntime import Oci

pytestmark = pytest.mark.root


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "100"]) as found:
        yield found
        found.kill()


def test_g20_nobody_signals_a_stranger(runclike: Oci, stranger: subprocess.Popen[bytes]) -> None:
    runclike.up()
    with runclike.watched() as ended:
        runclike("kill", runclike.id, "KILL")
        ended()
    [file] = runclike.state_root.glob("*/state.json")
    state = json.loads(file.read_text())
    [key] = [name for name in ("pid", "init_process_pid") if name in state]
    file.write_text(json.dumps({**state, key: stranger.pid}))
    assert json.loads(runclike("state", runclike.id).stdout)["status"] == "stopped"
    assert runclike("kill", runclike.id, "KILL", check=False).returncode != 0
    runclike("delete", "--force", runclike.id)
    assert stranger.poll() is None
    assert runclike("state", runclike.id, check=False).returncode != 0

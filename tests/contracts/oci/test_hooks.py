"""hooks: config.md, "POSIX-platform Hooks", and runtime.md, "Lifecycle"."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers import rootfs
from helpers.ociruntime import Oci, mount, until

pytestmark = pytest.mark.root

OUTSIDE = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


def note(path: Path, text: str, *, code: int = 0) -> dict[str, object]:
    """A hook that adds a line to a file. It reads the state: crun ends by SIGPIPE otherwise."""
    script = f"cat > /dev/null; echo {text} >> {path}; exit {code}"
    return {"path": "/bin/sh", "args": ["sh", "-c", script]}


def test_each_kind_in_its_order(oci: Oci, tmp_path: Path) -> None:
    log = tmp_path / "log"
    oci.spec["hooks"] = {kind: [note(log, f"{kind}1"), note(log, f"{kind}2")] for kind in OUTSIDE}
    oci.spec["mounts"].append(mount("/mnt", "bind", str(tmp_path), "bind"))
    oci.spec["hooks"]["startContainer"] = [
        {
            "path": "/bin/sh",
            "args": ["sh", "-c", "cat > /dev/null; echo startContainer >> /mnt/log"],
        }
    ]
    oci.create("sh", "-c", "echo program >> /mnt/log; sleep 100")
    made = ["prestart1", "prestart2", "createRuntime1", "createRuntime2", "createContainer1",
            "createContainer2"]  # fmt: skip
    assert log.read_text().split()[:6] == made
    assert "startContainer" not in log.read_text()
    oci("start", oci.id)
    until(lambda: "program" in log.read_text())
    started = log.read_text().split()[6:]
    assert started.index("startContainer") < started.index("program")
    # runc 1.1 runs poststart when it has created; crun 1.8 does not wait for startContainer
    assert [line for line in started if line.startswith("post")] == ["poststart1", "poststart2"]
    oci("delete", "--force", oci.id)
    assert log.read_text().split()[-2:] == ["poststop1", "poststop2"]


def test_each_gets_the_state(oci: Oci, tmp_path: Path) -> None:
    oci.spec["annotations"] = {"key": "value"}
    oci.spec["hooks"] = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {tmp_path}/{kind}"]}]
        for kind in OUTSIDE
    }
    oci.up()
    pid = oci.pid()
    oci("delete", "--force", oci.id)
    found = {kind: json.loads((tmp_path / kind).read_text()) for kind in OUTSIDE}
    for state in found.values():
        assert (state["id"], state["bundle"]) == (oci.id, str(oci.folder / "bundle"))
        assert state["annotations"]["key"] == "value"
        assert state["ociVersion"].startswith("1.")
    assert found["createRuntime"]["status"] in ("creating", "created")  # crun says created
    assert found["createRuntime"]["pid"] == found["poststart"]["pid"] == pid
    assert found["poststart"]["status"] == ("created" if oci.kind == "runc" else "running")
    assert found["poststop"]["status"] == "stopped"


def test_arguments_and_environment(oci: Oci, tmp_path: Path) -> None:
    script = f'cat > /dev/null; echo "$0 $1 $A $PATH" > {tmp_path}/out'
    oci.spec["hooks"] = {
        "createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "one"],
             "env": ["A=b", "PATH=/bin"]}
        ]
    }  # fmt: skip
    oci.run("true")
    assert (tmp_path / "out").read_text() == "zero one b /bin\n"


def test_create_container_works_in_the_root(runclike: Oci, tmp_path: Path) -> None:
    """Even in one that is going to be read-only: where libraries are put by hooks."""
    tree = rootfs.make(tmp_path / "own")
    script = "cat > /dev/null; echo made > etc/made"
    runclike.spec["root"] = {"path": str(tree), "readonly": True}
    runclike.spec["hooks"] = {
        "createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
    }
    assert runclike.out("cat", "/etc/made") == "made\n"


def test_start_container_has_the_environment_of_the_process(runclike: Oci, tmp_path: Path) -> None:
    script = "cat > /dev/null; echo $OWN $HOME > /tmp/said"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    runclike.spec["hooks"] = {"startContainer": [hook]}
    said = runclike.out("cat", "/tmp/said", env=["PATH=/bin", "OWN=1"])
    # runc 1.1 has no environment for it, later ones have the process's
    assert said in ("1 /root\n", "\n") if runclike.kind == "runc" else said == "1 /root\n"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_one_that_fails_ends_it(oci: Oci, tmp_path: Path, kind: str) -> None:
    log = tmp_path / "log"
    oci.spec["hooks"] = {
        kind: [note(log, "one"), note(log, "two", code=1), note(log, "three")],
        "poststop": [note(log, "stopped")],
    }
    assert oci.refused("true")
    assert log.read_text().split()[:2] == ["one", "two"]
    assert "three" not in log.read_text()


def test_a_hook_that_is_not_there(oci: Oci) -> None:
    oci.spec["hooks"] = {"createRuntime": [{"path": "/no/such/hook"}]}
    assert oci.refused("true")


def test_a_hook_that_takes_too_long(oci: Oci) -> None:
    oci.spec["hooks"] = {
        "createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]
    }
    assert oci.refused("true")


def test_poststop_that_fails_changes_nothing(oci: Oci, tmp_path: Path) -> None:
    log = tmp_path / "log"
    oci.spec["hooks"] = {"poststop": [note(log, "one", code=1), note(log, "two")]}
    oci.up()
    oci.kill()
    oci("delete", oci.id)
    # runc 1.1 lets it be with the first
    assert log.read_text().split() == (["one"] if oci.kind == "runc" else ["one", "two"])
    assert oci("state", oci.id, check=False).returncode != 0


def test_start_container_hooks_run_inside(oci: Oci) -> None:
    script = "cat > /dev/null; hostname > /tmp/name; id -u >> /tmp/name"
    oci.spec["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script],
                                             "env": ["PATH=/bin"]}]}  # fmt: skip
    assert oci.out("cat", "/tmp/name") == "box\n0\n"


@pytest.mark.parametrize("hook", [{"path": "relative"}, {"path": ""}, {}, {"path": 3}])
def test_a_hook_that_is_none(runclike: Oci, hook: dict[str, object]) -> None:
    runclike.spec["hooks"] = {"createRuntime": [hook]}
    assert runclike.refused("true")

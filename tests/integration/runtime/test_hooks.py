"""All six kinds of hooks: when they run, where, with what, and what it means that one fails."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
from pathlib import Path
from typing import Any

import pytest

from dockyard.interfaces.ociruntime import StartFailed
from helpers.ociruntime import until

from .conftest import Box, Yard, refused

pytestmark = pytest.mark.root

OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
INSIDE = ("createContainer", "startContainer")
ORDER = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def hooked(yard: Yard, program: list[str], **hooks: Any) -> Box:
    def change(spec: dict[str, Any]) -> None:
        spec["hooks"] = hooks
        spec["annotations"] = {"org.example.key": "value"}

    return yard.box(*program, change=change)


def shell(text: str, *args: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", text, *args], **more}


def recorded(place: Path, kind: str) -> list[dict[str, Any]]:
    """One that notes its order, its input and where it is."""
    text = (
        f"echo {kind} >> {place}/order; cat > {place}/{kind}.json;"
        f"for k in pid mnt net; do readlink /proc/self/ns/$k; done > {place}/{kind}.ns;"
        f'echo "$0 $1 $A" > {place}/{kind}.args; env > {place}/{kind}.env; pwd > {place}/{kind}.pwd'
    )
    return [shell(text, "one", "two", env=["A=b", "PATH=/usr/bin:/bin"])]


def namespaces(pid: int | str) -> list[str]:
    return [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("pid", "mnt", "net")]


def test_the_order_the_state_and_the_place(yard: Yard, tmp_path: Path) -> None:
    place = tmp_path / "seen"
    place.mkdir()

    def change(spec: dict[str, Any]) -> None:
        spec["hooks"] = {kind: recorded(place, kind) for kind in ORDER}
        spec["annotations"] = {"org.example.key": "value"}
        # what the hooks inside write, they write to the same folder
        spec["mounts"].append({"destination": str(place), "source": str(place),
                               "options": ["bind"]})  # fmt: skip

    box = yard.sh(f"echo program >> {place}/order; sleep 60", change=change)
    box.create()
    inside = namespaces(box.pid)
    assert (place / "order").read_text().split() == ORDER[:3]
    box.runtime.start(box.run_dir)
    assert not (place / "poststop.json").exists()
    box.delete()
    order = (place / "order").read_text().split()
    assert [kind for kind in order if kind != "program"] == ORDER
    assert order.index("program") > order.index("startContainer")
    for kind in ORDER:
        state = json.loads((place / f"{kind}.json").read_text())
        assert state["id"] == box.launch.id
        assert state["bundle"] == box.state_dir
        assert state["annotations"] == {"org.example.key": "value"}
        assert state["ociVersion"] == box.launch.spec["ociVersion"]
        # runtime.md, "State": as whoever reads it sees it
        pid = {"poststop": None}.get(kind, 1 if kind in INSIDE else box.pid)
        assert state.get("pid") == pid, kind
        assert (place / f"{kind}.args").read_text() == "one two b\n"
        assert "HOME" not in (place / f"{kind}.env").read_text()
        found = (place / f"{kind}.ns").read_text().split()
        # the mount namespace of a hook that runs before pivot_root is the container's already
        assert found == (inside if kind in INSIDE else namespaces("self")), kind
    statuses = [json.loads((place / f"{kind}.json").read_text())["status"] for kind in ORDER]
    assert statuses == ["creating", "creating", "creating", "created", "running", "stopped"]


def test_variables_of_a_hook_that_names_none(yard: Yard, tmp_path: Path) -> None:
    """As with runc: outside those of the runtime, inside those of the container's process."""
    place = tmp_path / "env"
    place.mkdir()
    hooks = {kind: [shell(f"env > {place}/{kind}")] for kind in ORDER}

    def change(spec: dict[str, Any]) -> None:
        spec["hooks"] = hooks
        spec["process"]["env"] = ["PATH=/bin", "MARK=container"]
        spec["mounts"].append({"destination": str(place), "source": str(place),
                               "options": ["bind"]})  # fmt: skip

    box = yard.box("sleep", "60", change=change).start()
    box.delete()
    for kind in ORDER:
        text = (place / kind).read_text()
        assert ("MARK=container" in text) == (kind in INSIDE), kind
        assert (f"PATH={os.environ['PATH']}" in text) == (kind in OUTSIDE), kind


def test_where_the_path_is_looked_up(yard: Yard, tmp_path: Path) -> None:
    """createContainer's is the host's file, startContainer's the container's own."""
    mark = tmp_path / "mark"
    host = tmp_path / "only-here"
    host.write_text(f"#!/bin/sh\nexec touch {mark}\n")
    host.chmod(0o755)
    box = hooked(
        yard, ["sleep", "60"],
        createContainer=[{"path": str(host)}],
        startContainer=[{"path": "/only-there"}],
    )  # fmt: skip
    there = box.upper / "only-there"
    there.write_text("#!/bin/sh\necho ran as $(id -u) > /tmp/there\n")
    there.chmod(0o755)
    box.start()
    assert mark.exists()
    assert box.exec("cat", "/tmp/there").out == "ran as 0\n"


def test_a_container_can_be_given_a_network_by_one(yard: Yard, tmp_path: Path) -> None:
    """What createRuntime is for: the namespaces are there, the state says whose."""
    text = (
        "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/');"
        "nsenter -t $pid -n ip link add hooked type dummy 2>/dev/null ||"
        "nsenter -t $pid -n ip link set lo up"
    )
    box = hooked(yard, ["sleep", "60"], createRuntime=[shell(text, env=["PATH=/usr/bin:/bin:/sbin"
                                                             ":/usr/sbin"])])  # fmt: skip
    box.start()
    links = box.exec("ip", "link").out
    assert "hooked" in links or "LOOPBACK,UP" in links


@pytest.mark.parametrize("kind", ORDER[:3])
def test_one_that_fails_before_the_start_undoes_everything(
    yard: Yard, tmp_path: Path, kind: str
) -> None:
    mark = tmp_path / "stopped"
    box = hooked(
        yard, ["sleep", "60"],
        **{kind: [shell("exit 0"), shell("echo out; echo why >&2; exit 3")],
           "poststop": [shell(f"touch {mark}")]},
    )  # fmt: skip
    error = refused(box)
    assert f"hook {kind}[1]: /bin/sh: exit status 3: out\nwhy" in str(error)
    assert box.groups() == []
    assert box.runtime.state(box.run_dir).status == "stopped"
    assert mark.exists(), "runtime.md, lifecycle: on to step 12 and 13"


@pytest.mark.parametrize("kind", ["startContainer", "poststart"])
def test_one_that_fails_at_the_start_stops_the_container(yard: Yard, kind: str) -> None:
    box = hooked(yard, ["sleep", "60"], **{kind: [shell("exit 7")]})
    box.create()
    with pytest.raises(StartFailed, match=rf"hook {kind}\[0\]: /bin/sh: exit status 7"):
        box.runtime.start(box.run_dir)
    assert box.wait() is not None
    assert box.groups() == []


def test_one_that_fails_after_the_end_changes_nothing(yard: Yard, tmp_path: Path) -> None:
    mark = tmp_path / "second"
    hooks = [shell("exit 1"), shell(f"echo x >> {mark}")]
    box = hooked(yard, ["sh", "-c", "exit 4"], poststop=hooks)
    assert box.run().code == 4
    box.delete()
    assert mark.read_text() == "x\n", "the rest run, once"


@pytest.mark.parametrize("then", ["removed", "started again"])
def test_g08_hooks_after_the_end_of_one_whose_monitor_was_killed(
    yard: Yard, tmp_path: Path, then: str
) -> None:
    """runc runs them at `delete`, whoever was there to see the end."""
    place = tmp_path / "seen"
    place.mkdir()
    box = hooked(yard, ["sleep", "60"], poststop=[shell("exit 3"), *recorded(place, "poststop")])
    box.start()
    watched = os.pidfd_open(box.pid)
    monitor = int(Path(f"/proc/{box.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    assert select.select([watched], [], [], 20)[0], "the container outlives its monitor"
    os.close(watched)
    assert list(place.iterdir()) == []
    if then == "removed":
        box.delete()
    else:
        box.start()
    assert (place / "order").read_text() == "poststop\n"
    said = json.loads((place / "poststop.json").read_text())
    assert (said["id"], said["status"]) == (box.launch.id, "stopped")
    assert said["annotations"] == {"org.example.key": "value"}
    box.delete()
    runs = 1 if then == "removed" else 2
    assert (place / "order").read_text() == "poststop\n" * runs
    assert not Path(box.run_dir).exists()


@pytest.mark.parametrize("kind", ORDER[:5])
def test_a_timeout(yard: Yard, kind: str) -> None:
    """What it has started goes with it."""
    long = str(10**7 + secrets.randbelow(10**7))  # nobody else's
    hook = shell(f"sleep {long} & sleep {long}", timeout=1)
    box = hooked(yard, ["sleep", "60"], **{kind: [hook]})
    assert f"hook {kind}[0]: /bin/sh: no end after 1 s" in str(refused(box))
    until(lambda: f"sleep\0{long}\0".encode() not in commands())


def test_a_timeout_after_the_end(yard: Yard, tmp_path: Path) -> None:
    long, mark = str(10**7 + secrets.randbelow(10**7)), tmp_path / "next"
    hooks = [shell(f"sleep {long} & sleep {long}", timeout=1), shell(f"echo x > {mark}")]
    box = hooked(yard, ["true"], poststop=hooks)
    assert box.run().code == 0
    box.delete()
    assert mark.read_text() == "x\n"
    until(lambda: f"sleep\0{long}\0".encode() not in commands())


def commands() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return found


@pytest.mark.parametrize("kind", ORDER[:4])
@pytest.mark.parametrize(("path", "text"), [("/no/such", "No such file"), ("/etc", "denied")])
def test_one_that_is_none(yard: Yard, kind: str, path: str, text: str) -> None:
    error = str(refused(hooked(yard, ["sleep", "60"], **{kind: [{"path": path}]})))
    assert f"hook {kind}[0]: {path}" in error
    assert text in error


@pytest.mark.parametrize(
    ("hooks", "text"),
    [
        ({"prestart": {}}, "where a list belongs"),
        ({"prestart": [{}]}, "path: missing"),
        ({"prestart": [{"path": "relative"}]}, "not an absolute path"),
        ({"prestart": [{"path": "/x", "timeout": 0}]}, "timeout"),
        ({"prestart": [{"path": "/x", "timeout": "1"}]}, "timeout"),
        ({"prestart": [{"path": "/x", "env": ["novalue"]}]}, "not NAME=value"),
        ({"prestart": [{"path": "/x", "args": "x"}]}, "args"),
        ({"preStart": [{"path": "/x"}]}, "hooks.preStart: unknown"),
        ({"prestart": [{"path": "/x"}] * 257}, "at most 256"),
    ],
    ids=range(9),
)
def test_a13_hooks_that_are_none(yard: Yard, hooks: dict[str, Any], text: str) -> None:
    box = hooked(yard, ["true"], **hooks)
    assert text in str(refused(box))
    assert box.groups() == []


def test_a02_a_hook_of_the_containers_cannot_reach_the_interpreter(yard: Yard) -> None:
    box = hooked(yard, ["sleep", "60"], startContainer=[{"path": "/evil", "args": ["evil"]}])
    evil = box.upper / "evil"
    evil.write_text("#!/proc/self/exe\nopen('/reached', 'w')\n")
    evil.chmod(0o755)
    refused(box)
    assert not (box.upper / "reached").exists()


def test_a01_a_hook_has_no_descriptors_but_the_standard_ones(yard: Yard, tmp_path: Path) -> None:
    place = tmp_path / "fds"
    text = f"for f in /proc/$$/fd/*; do readlink $f; done > {place}; exit 0"
    box = hooked(yard, ["sleep", "60"], createRuntime=[shell(text)])
    box.start()
    links = [line for line in place.read_text().split("\n") if line.startswith(("/", "socket"))]
    # standard input and outputs are files in memory; a shell keeps its redirection elsewhere
    assert {os.fspath(link) for link in links} <= {
        "/memfd:hook (deleted)", str(place), "/memfd:hook",
    }  # fmt: skip

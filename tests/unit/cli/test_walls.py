"""`--without`: what is left out, what cannot be, and what contradicts it."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Conflict, Denied, DockyardError, Invalid
from dockyard.cli.walls import WALLS, leave_out, parse
from dockyard.node.engine.config import ContainerConfig, PortSpec

PLAIN = ContainerConfig(command=("true",))


def test_each_wall_has_the_words_that_docker_has_for_it() -> None:
    found = leave_out(PLAIN, ["pid,net", "caps", "seccomp,masks,uts,ipc,cgroup"], root=True)
    assert found.network == "host"
    assert dict(found.join) == dict.fromkeys(("pid", "ipc", "uts", "cgroup"), "host")
    assert found.cap_add == ("ALL",)
    assert set(found.security_opt) == {"seccomp=unconfined", "systempaths=unconfined"}
    assert leave_out(PLAIN, [], root=True) == PLAIN
    assert leave_out(PLAIN, ["devices"], root=True).device_rules == ("a *:* rwm",)


def test_names() -> None:
    assert parse(["network,net", "capabilities"]) == ["net", "caps"]
    assert set(parse([",".join(WALLS)])) == set(WALLS)


@pytest.mark.parametrize(
    ("words", "config", "kind", "message"),
    [
        ("user", {}, Invalid, "no user namespace unless it is asked for"),
        ("time", {}, Invalid, "no time namespace unless it is asked for"),
        ("pid,frob", {}, Invalid, "'frob': unknown; walls that can be left out: pid, net"),
        ("", {}, Invalid, "'': unknown"),
        ("net", {"network": "none"}, Conflict, "--without net and --network"),
        ("net", {"ports": (PortSpec(1, "tcp", "", 0),)}, Conflict, "--without net"),
        ("uts", {"hostname": "box"}, Conflict, "--hostname"),
        ("caps", {"cap_drop": ("CHOWN",)}, Conflict, "--cap-drop"),
        ("mnt", {"runtime": "/usr/sbin/runc"}, Conflict, "--without mnt and --runtime"),
        ("mnt", {"system": True}, Conflict, "--without mnt and --runtime or --system"),
        ("pid", {"join": (("pid", "other"),)}, Conflict, "--without pid and --pid"),
        ("seccomp", {"security_opt": ("seccomp=unconfined",)}, Conflict, "--security-opt"),
    ],
)
def test_what_is_refused(
    words: str, config: dict[str, object], kind: type[DockyardError], message: str
) -> None:
    with pytest.raises(kind, match=message.replace("'", ".")):
        leave_out(PLAIN._replace(**config), [words], root=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("wall", ["pid", "net", "ipc", "mnt"])
def test_an_ordinary_user_has_no_file_system_of_the_machines_namespaces(wall: str) -> None:
    with pytest.raises(Denied, match="use sudo"):
        leave_out(PLAIN, [wall], root=False)
    leave_out(PLAIN, ["uts,cgroup,seccomp,caps,masks"], root=False)

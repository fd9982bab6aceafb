"""What an ordinary user's container has of ids, mounts and ports: decided without a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import Denied, Unsupported
from dockyard.base.linux import userns
from dockyard.base.oci import runtimespec
from dockyard.base.oci.defaultspec import default_spec
from dockyard.node.engine import rootless
from dockyard.node.engine.rootless import Ids
from dockyard.node.network import usermode

MANY = Ids(((0, 1001, 1), (1, 100_000, 65_536)), ((0, 1002, 1), (1, 200_000, 65_536)))
SINGLE = Ids(((0, 1001, 1),), ((0, 1002, 1),))


def document(**namespaces: str | None) -> dict[str, Any]:
    return default_spec(args=["true"], env=[], cwd="/", root="/r", cgroup="/a",
                        namespaces=namespaces or None)  # fmt: skip


@pytest.mark.parametrize(("own", "ranges"), [(MANY, 2), (SINGLE, 1)], ids=["many", "single"])
def test_the_specification_is_one_that_the_runtime_takes(own: Ids, ranges: int) -> None:
    spec = document()
    rootless.adapt(spec, own, [])
    parsed = runtimespec.parse(spec)
    assert len(parsed.uids) == len(parsed.gids) == ranges
    assert (parsed.uids[0], parsed.gids[0]) == ((0, 1001, 1), (0, 1002, 1))
    assert "user" in parsed.namespaces
    [pts] = [mount for mount in parsed.mounts if mount.kind == "devpts"]
    # the terminals' group has an id only where there is a range
    assert ("gid=5" in pts.options.data) == (ranges == 2)


@pytest.mark.parametrize(
    ("user", "own", "allowed"),
    [
        ({"uid": 0, "gid": 0}, SINGLE, True),
        ({"uid": 1, "gid": 0}, SINGLE, False),
        ({"uid": 0, "gid": 5}, SINGLE, False),
        ({"uid": 0, "gid": 0, "additionalGids": [5]}, SINGLE, False),
        ({"uid": 65_536, "gid": 65_536}, MANY, True),
        ({"uid": 65_537, "gid": 0}, MANY, False),
    ],
)
def test_users_that_have_an_id(user: dict[str, Any], own: Ids, allowed: bool) -> None:
    spec = document()
    spec["process"]["user"] = user
    if allowed:
        rootless.adapt(spec, own, [])
    else:
        with pytest.raises(Denied, match="without root a container has the ids"):
            rootless.adapt(spec, own, [])


def test_what_is_squashed_is_said() -> None:
    notes = rootless.adapt(document(), SINGLE, [("/tree", 0), ("/own", 1001)])
    assert len(notes) == 2
    assert "newuidmap" in notes[0]
    assert notes[1].startswith("/tree: belongs to uid 0")
    assert rootless.adapt(document(), MANY, [("/own", 1001), ("/shifted", 100_005)]) == []


def test_on_the_hosts_network_sys_is_the_hosts() -> None:
    spec = document(mount=None, pid=None, ipc=None, uts=None, cgroup=None)
    rootless.adapt(spec, MANY, [])
    places = {mount["destination"]: mount for mount in spec["mounts"]}
    assert places["/sys"]["type"] == "bind"
    assert "rro" in places["/sys"]["options"]
    assert "/sys/fs/cgroup" not in places


def test_ranges_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """subuid(5): by name or number, several lines, and lines that are none."""
    table = tmp_path / "subuid"
    table.write_text("other:1:5\nme:100000:10\n1001:300000:20\nme:x:y\nme:5:0\n\nme\n")
    assert rootless._subordinate(str(table), {"me", "1001"}) == [(100_000, 10), (300_000, 20)]
    assert rootless._subordinate(str(tmp_path / "none"), {"me"}) == []
    assert tuple(rootless._map(7, [(100, 10), (300, 20)])) == (
        (0, 7, 1),
        (1, 100, 10),
        (11, 300, 20),
    )


def test_lines_of_a_map() -> None:
    assert userns.lines(MANY.uids) == "0 1001 1\n1 100000 65536\n"


def test_targets_are_made_in_the_upper_layer_and_nowhere_else(tmp_path: Path) -> None:
    upper, lower, outside = (tmp_path / name for name in ("upper", "lower", "outside"))
    for folder in (upper, lower / "etc", outside):
        folder.mkdir(parents=True)
    (lower / "etc/hosts").touch()
    (upper / "link").symlink_to(f"../../{outside.name}")
    (upper / "away").symlink_to(outside)
    rootless.make_targets(
        str(upper), (str(lower),),
        [("/etc/hosts", "/etc/hosts"), ("/etc/hosts", "/etc/resolv.conf"), ("/", "/data/deep"),
         ("/", "/../../climbs")],
    )  # fmt: skip
    made = {str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_symlink()}
    assert made == {"etc", "etc/resolv.conf", "data", "data/deep", "climbs"}
    with pytest.raises(OSError):
        rootless.make_targets(str(upper), (), [("/", "/away/inside/deep")])
    assert list(outside.iterdir()) == []


# pasta(1), "--tcp-ports": [address/]outside:inside
def test_ports_are_those_asked_for_and_no_others() -> None:
    words = usermode._forwards([(80, "tcp", "127.0.0.1", 8080), (53, "udp", "", 5353)])
    assert " ".join(words) == "-T none -U none -t 127.0.0.1/8080:80 -u 5353:53"
    assert usermode._forwards([]) == ["-T", "none", "-U", "none", "-t", "none", "-u", "none"]
    [chosen] = [word for word in usermode._forwards([(80, "tcp", "", 0)]) if word.endswith(":80")]
    assert 1024 <= int(chosen.split(":")[0]) < 65536
    with pytest.raises(Unsupported, match="only tcp and udp"):
        usermode._forwards([(80, "sctp", "", 80)])

"""`ps`: docker's words for ages, states and ports, and its filters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.cli.common import age, size, table
from dockyard.cli.ps import ports, row, status
from dockyard.cli.psfilters import chosen
from dockyard.cli.template import listed
from dockyard.node.engine.config import Container, ContainerConfig, MountSpec, PortSpec

WEB = Container(
    "ab" * 32, "web", "cli", 100.0, "running",
    ContainerConfig(image="nginx", labels=(("app", "web"), ("tier", "front")), exposed=("81/tcp",),
                    mounts=(MountSpec("volume", "data", "/data"),)),
    started=100.0, args=("nginx", "-g", "daemon off;"),
    ports=(PortSpec(80, "tcp", "0.0.0.0", 8080),),
)  # fmt: skip
DB = Container("cd" * 32, "db", "cri", 90.0, "exited",
               ContainerConfig(image="redis:7", labels=(("app", "db"),), network="back"),
               exit_code=3, finished=150.0)  # fmt: skip
JOB = Container("ce" * 32, "job", "cli", 80.0, "created", ContainerConfig(rootfs="/tree"))
ALL = [WEB, DB, JOB]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
        (119, "About a minute"), (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"),
        (2 * 3600, "2 hours"), (47 * 3600, "47 hours"), (48 * 3600, "2 days"),
        (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"), (729 * 86400, "24 months"), (730 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_ages_are_go_units(seconds: float, text: str) -> None:
    """The table of docker/go-units, HumanDuration."""
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("1b", 1), ("1k", 1024), ("1KB", 1024), ("1.5m", 3 << 19), ("2g", 2 << 30)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "m", "1x", "inf", "nan", "one"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(Invalid):
        size(text)


def test_states() -> None:
    assert status(WEB, 220.0) == "Up 2 minutes"
    assert status(WEB._replace(status="paused"), 220.0) == "Up 2 minutes (Paused)"
    assert status(DB, 160.0) == "Exited (3) 10 seconds ago"
    assert status(JOB, 0.0) == "Created"
    assert status(JOB._replace(status="removing"), 0.0) == "Removal In Progress"


def test_a_row() -> None:
    found = row(WEB, 220.0, whole=False)
    assert found["ID"] == "abababababab"
    assert found["Command"] == '"nginx -g \'daemon of…"'
    assert row(WEB, 220.0, whole=True)["ID"] == WEB.id
    assert row(JOB, 220.0, whole=False)["Image"] == "/tree"
    nameless = DB._replace(config=ContainerConfig(image="sha256:" + "12" * 32))
    assert row(nameless, 0.0, whole=False)["Image"] == "121212121212"


def test_f24_a_command_does_not_steer_the_terminal() -> None:
    found = row(JOB._replace(args=("\x1b[2J", "x")), 0.0, whole=True)["Command"]
    assert found == '"\\x1b[2J x"'


def test_ports_next_to_each_other_are_one_range() -> None:
    many = tuple(PortSpec(80 + n, "tcp", "0.0.0.0", 8080 + n) for n in range(3))
    other = PortSpec(53, "udp", "127.0.0.1", 53)
    found = ports(WEB._replace(ports=(*many, other)))
    assert found == "0.0.0.0:8080-8082->80-82/tcp, 127.0.0.1:53->53/udp"
    assert ports(WEB) == "81/tcp, 0.0.0.0:8080->80/tcp"
    assert ports(DB) == ""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["name=we"], ["web"]),
        (["name=^w.b$"], ["web"]),
        (["name=web", "name=db"], ["web", "db"]),
        (["id=abab"], ["web"]),
        (["label=app"], ["web", "db"]),
        (["label=app=web", "label=tier"], ["web"]),
        (["label=app=web", "label=app=db"], []),
        (["status=exited"], ["db"]),
        (["status=exited", "status=created"], ["db", "job"]),
        (["exited=3"], ["db"]),
        (["ancestor=redis:7"], ["db"]),
        (["ancestor=nginx"], ["web"]),
        (["ancestor=redis"], []),
        (["network=back"], ["db"]),
        (["volume=data"], ["web"]),
        (["volume=/data"], ["web"]),
        (["publish=8080"], ["web"]),
        (["publish=8080/udp"], []),
        (["before=web"], ["db", "job"]),
        (["since=db"], ["web"]),
        (["owner=cri"], ["db"]),
        (["label=app", "status=running"], ["web"]),
    ],
)
def test_filters(words: list[str], names: list[str]) -> None:
    assert [each.name for each in chosen(ALL, words)] == names


@pytest.mark.parametrize("word", ["name", "frob=1", "status=sleeping", "before=nobody"])
def test_filters_that_are_none(word: str) -> None:
    with pytest.raises(Invalid):
        chosen(ALL, [word])


def test_a_table_of_nothing_is_its_headings() -> None:
    assert table(["NAME", "STATUS"], []) == "NAME      STATUS"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["expose=81"], ["web"]), (["expose=80-82/tcp"], ["web"]), (["expose=81/udp"], []),
        (["publish=8000-8090"], ["web"]), (["publish=8080/udp"], []), (["is-task=false"], ALL),
        (["is-task=true"], []), (["isolation=default"], ALL), (["restart-policy=no"], ALL),
    ],
)  # fmt: skip
def test_more_filters(words: list[str], names: list[Any]) -> None:
    """docker ps' reference, "Filtering"; podman-ps(1) has restart-policy."""
    assert [each.name for each in chosen(ALL, words)] == [
        getattr(each, "name", each) for each in names
    ]


@pytest.mark.parametrize("word", ["exited=x", "publish=x", "expose=1-x", "expose="])
def test_values_of_filters_that_are_none(word: str) -> None:
    with pytest.raises(Invalid):
        chosen(ALL, [word])


def test_templates_with_methods() -> None:
    """docker ps' reference, "Formatting": .Label, .Size, json."""
    rows = [row(each, 220.0, False) for each in (WEB, JOB)]
    assert listed('{{.Names}} {{.Label "app"}}', rows, {}) == "web web\njob \n"
    assert listed('table {{.Names}}\\t{{.Label "app"}}', rows, {"Names": "NAMES"}).splitlines() == [
        "NAMES     app", "web       web", "job",
    ]  # fmt: skip
    assert listed('{{if eq (.Label "tier") "front"}}{{.Names}}{{end}}', rows, {}) == "web\n\n"
    found = json.loads(listed("json", rows[:1], {}))
    assert list(found) == sorted(found)
    assert {"Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names",
            "Networks", "Platform", "Ports", "RunningFor", "Size", "State", "Status",
            } <= set(found)  # fmt: skip
    assert "Label" not in found
    assert json.loads(listed("{{json .}}", rows[:1], {})) == found
    for wrong in ("{{.Label}}", '{{.Names "x"}}', '{{.Label "a" "b"}}'):
        with pytest.raises(Invalid):
            listed(wrong, rows, {})


def test_no_ports_without_a_network() -> None:
    assert ports(WEB._replace(config=WEB.config._replace(network="none"))) == ""

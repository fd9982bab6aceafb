"""A cluster's settings are checked at the door, from a person's file and from our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import Corrupt
from dockyard.boot import layout
from dockyard.boot.layout import HostView, Layout


def good() -> layout.Settings:
    return layout.choose(HostView("box", "192.0.2.2", (), lambda port: True))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("pod_cidr", "bogus", "Expected 4 octets"),
        ("pod_cidr", "10.244.0.1/16", "host bits"),
        ("pod_cidr", "10.96.0.0/12", "overlap"),
        ("service_cidr", "10.96.0.0/28", "smaller than a /24"),
        ("api_port", 0, "not between"),
        ("api_port", 65536, "not between"),
        ("node_name", "Not_A_Name", "not a DNS name"),
        ("node_name", "a" * 64, "not a DNS name"),
        ("domain", "cluster..local", "not a DNS name"),
        ("node_address", "1.2.3", "Expected 4 octets"),
    ],
)
def test_what_can_be_no_cluster_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        layout.replace(good(), **{name: value})


def test_a_port_is_a_number() -> None:
    with pytest.raises(TypeError, match="api_port: '6443'"):
        layout.replace(good(), api_port="6443")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"release": 1}', '{"frob": 1}'])
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    place = Layout(tmp_path)
    place.cluster.mkdir()
    place.config.write_text(text)
    with pytest.raises(Corrupt, match=r"config\.json"):
        layout.load(place)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    layout.save(place, good())
    assert layout.load(place) == good()
    assert json.loads(place.config.read_text())["release"] == "1.33"

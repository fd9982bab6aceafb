"""Names of the cluster's domain (DNS-based service discovery 1.1.0)."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.cluster.dns.records import Answer, Objects, lookup

DOMAIN = "cluster.local"
SERVICES: dict[str, dict[str, Any]] = {
    "shop/web": {"spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"]}},
    "shop/db": {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}},
    "shop/idle": {"spec": {"clusterIP": "None"}},
    "shop/early": {"spec": {"clusterIP": "None", "publishNotReadyAddresses": True}},
    "shop/out": {"spec": {"type": "ExternalName", "externalName": "DB.Example.org."}},
}
ENDPOINTS = [
    {"addresses": ["10.1.0.2"], "hostname": "db-0", "conditions": {"ready": True}},
    {"addresses": ["10.1.0.3"], "hostname": "db-1", "conditions": {"ready": False}},
    {"addresses": ["10.1.0.4"], "conditions": {}},
    {"addresses": ["fd00::4"], "conditions": {"ready": True}},
]
SLICES = {"shop/db": [{"endpoints": ENDPOINTS}], "shop/early": [{"endpoints": ENDPOINTS[1:2]}]}


def find(name: str) -> Answer:
    objects = Objects(
        SERVICES.get, lambda key: SLICES.get(key, []), lambda namespace: namespace == "shop"
    )
    return lookup(name, DOMAIN, objects)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("web.shop.svc.cluster.local", ("10.96.0.7",)),
        ("db.shop.svc.cluster.local", ("10.1.0.2", "10.1.0.4", "fd00::4")),
        ("db-0.db.shop.svc.cluster.local", ("10.1.0.2",)),
        ("10-1-0-4.db.shop.svc.cluster.local", ("10.1.0.4",)),
        ("early.shop.svc.cluster.local", ("10.1.0.3",)),
        ("db-1.early.shop.svc.cluster.local", ("10.1.0.3",)),
        ("idle.shop.svc.cluster.local", ()),
        ("shop.svc.cluster.local", ()),
        ("svc.cluster.local", ()),
        ("cluster.local", ()),
    ],
)
def test_names_that_exist(name: str, addresses: tuple[str, ...]) -> None:
    assert find(name) == Answer(exists=True, addresses=addresses)


@pytest.mark.parametrize(
    "name",
    [
        "nothing.shop.svc.cluster.local",
        "web.other.svc.cluster.local",
        "other.svc.cluster.local",
        "db-1.db.shop.svc.cluster.local",  # not ready
        "10-1-0-2.db.shop.svc.cluster.local",  # it has a hostname
        "pod.web.shop.svc.cluster.local",  # not headless
        "a.b.db.shop.svc.cluster.local",
        "x.out.shop.svc.cluster.local",
        "web.shop.pod.cluster.local",
        "web.shop.cluster.local",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not find(name).exists


def test_an_external_name_is_an_alias() -> None:
    assert find("out.shop.svc.cluster.local") == Answer(exists=True, alias="db.example.org")


def test_addresses_by_version() -> None:
    assert find("db.shop.svc.cluster.local").of_version(6) == ("fd00::4",)

"""Hosts and paths to Services; the paths' table is that of the Kubernetes documentation."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.cluster.ingress.routing import Backend, Table, is_ours


def path(at: str, service: str, kind: str = "Prefix") -> dict[str, Any]:
    return {
        "path": at,
        "pathType": kind,
        "backend": {"service": {"name": service, "port": {"number": 80}}},
    }


def ingress(
    *rules: tuple[str, list[dict[str, Any]]], name: str = "shop", created: str = "", **spec: Any
) -> dict[str, Any]:
    made = [{**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in rules]
    metadata = {"namespace": "shop", "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"rules": made, **spec}}


def found(table: Table, host: str, at: str) -> str:
    backend = table.find(host, at)
    return backend.service if backend else ""


@pytest.mark.parametrize(
    ("kind", "rule", "asked", "matches"),
    [
        ("Prefix", "/", "/any/path", True),
        ("Exact", "/foo", "/foo", True),
        ("Exact", "/foo", "/bar", False),
        ("Exact", "/foo", "/foo/", False),
        ("Exact", "/foo/", "/foo", False),
        ("Prefix", "/foo", "/foo", True),
        ("Prefix", "/foo", "/foo/", True),
        ("Prefix", "/foo/", "/foo", True),
        ("Prefix", "/foo/", "/foo/", True),
        ("Prefix", "/aaa/bb", "/aaa/bbb", False),
        ("Prefix", "/aaa/bbb", "/aaa/bbb", True),
        ("Prefix", "/aaa/bbb/", "/aaa/bbb", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/ccc", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbbxyz", False),
        ("Prefix", "/foo", "/Foo", False),
        ("ImplementationSpecific", "/foo", "/foo/bar", True),
    ],
)
def test_paths(kind: str, rule: str, asked: str, matches: bool) -> None:
    table = Table([ingress(("", [path(rule, "web", kind)]))])
    assert (found(table, "x", asked) == "web") is matches


def test_the_longest_path_wins_and_an_exact_one_before_it() -> None:
    paths = [path("/", "root"), path("/a/b", "deep"), path("/a", "a"),
             path("/a/b", "exact", "Exact")]  # fmt: skip
    table = Table([ingress(("", paths))])
    assert found(table, "x", "/a/b") == "exact"
    assert found(table, "x", "/a/b/c") == "deep"
    assert found(table, "x", "/a/x") == "a"
    assert found(table, "x", "/z") == "root"


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("shop.example.org", "exact"),
        ("SHOP.example.org:8080", "exact"),
        ("shop.example.org.", "exact"),
        ("other.example.org", "wild"),
        ("a.b.example.org", "any"),
        ("example.org", "any"),
        ("[::1]:80", "any"),
        ("", "any"),
    ],
)
def test_hosts(host: str, service: str) -> None:
    table = Table([ingress(("", [path("/", "any")]), ("*.example.org", [path("/", "wild")]),
                           ("shop.example.org", [path("/", "exact")]))])  # fmt: skip
    assert found(table, host, "/") == service


def test_what_no_rule_matches_is_for_the_default_backend() -> None:
    default = {"service": {"name": "default", "port": {"name": "http"}}}
    table = Table([ingress(("a.org", [path("/a", "a")]), defaultBackend=default)])
    assert table.find("b.org", "/") == Backend("shop", "default", "http")
    assert table.find("a.org", "/b") == Backend("shop", "default", "http")
    assert Table([ingress(("a.org", [path("/a", "a")]))]).find("a.org", "/b") is None


def test_f21_the_older_ingress_keeps_its_host_and_path() -> None:
    old = ingress(("a.org", [path("/", "old")]), name="z", created="2026-01-01T00:00:00Z")
    new = ingress(("a.org", [path("/", "new")]), name="a", created="2026-02-01T00:00:00Z")
    assert found(Table([new, old]), "a.org", "/") == "old"
    assert found(Table([old, new]), "a.org", "/") == "old"


def test_f21_paths_are_no_patterns() -> None:
    table = Table([ingress(("", [path("/(a+)+$", "web", "ImplementationSpecific")]))])
    assert found(table, "x", "/" + "a" * 5000) == ""


def test_a_class_of_another_controller_is_not_ours() -> None:
    controllers = {"nginx": "k8s.io/ingress-nginx", "mine": "dockyard.io/ingress"}
    for name, ours in (("nginx", False), ("mine", True), ("unknown", True), (None, True)):
        assert is_ours(ingress(ingressClassName=name), controllers) is ours

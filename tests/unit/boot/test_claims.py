"""Clusters on one machine keep out of each other's addresses."""

from __future__ import annotations

from dockyard.boot.claims import Claim, alias, conflict
from dockyard.boot.layout import HostView, Settings, choose, free_block


def host(*routes: str) -> HostView:
    return HostView("box", "192.0.2.2", routes, lambda port: True)


def settings(*routes: str) -> Settings:
    return choose(host(*routes))


def test_a_second_cluster_takes_the_next_blocks() -> None:
    first = settings()
    second = settings(first.service_cidr, first.pod_cidr)
    assert (first.service_cidr, first.pod_cidr) == ("10.96.0.0/16", "10.244.0.0/16")
    assert (second.service_cidr, second.pod_cidr) == ("10.97.0.0/16", "10.245.0.0/16")


def test_a_smaller_route_inside_a_block_takes_it_too() -> None:
    assert free_block("10.96.0.0/16", ["10.96.3.0/24"]) == "10.97.0.0/16"


def test_what_a_link_says_is_read_back() -> None:
    words = alias("0123abcd", settings()).split()
    assert words == ["dockyard", "0123abcd", "services", "10.96.0.0/16", "10.244.0.0/16"]


def test_a_cluster_that_was_down_meanwhile_is_told_who_has_its_block() -> None:
    own = settings()
    other = Claim("ffffffff", ("10.97.0.0/16", "10.244.0.0/16"))
    assert conflict("0123abcd", own, [other]) == (
        "10.244.0.0/16, which cluster ffffffff on this machine has"
    )
    assert conflict("0123abcd", own, [Claim("0123abcd", ("10.96.0.0/16",))]) == ""
    assert conflict("0123abcd", own, [Claim("ffffffff", ("10.98.0.0/16",))]) == ""

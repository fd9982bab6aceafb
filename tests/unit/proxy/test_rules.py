"""Services and EndpointSlices to nftables."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.ingress.endpoints import serving
from dockyard.cluster.proxy.rules import Port, endpoints, ports_of, ruleset


def service(name: str, address: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": address, "ports": ports, **spec},
    }


def slice_of(name: str, *found: tuple[str, dict[str, bool]], port: int = 8080) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": state} for address, state in found],
    }


READY = {"ready": True, "serving": True, "terminating": False}
STARTING = {"ready": False, "serving": False, "terminating": False}
ENDING = {"ready": False, "serving": True, "terminating": True}
ENDED = {"ready": False, "serving": False, "terminating": True}


def test_a_service_leads_to_its_ready_endpoints() -> None:
    slices = [slice_of("web", ("10.1.0.2", READY), ("10.1.0.3", STARTING), ("10.1.0.4", ENDING))]
    assert ports_of([service("web", "10.96.0.7")], slices) == [
        Port("10.96.0.7", "tcp", 80, (("10.1.0.2", 8080),))
    ]


def test_endings_that_serve_are_taken_only_when_nothing_is_ready() -> None:
    slices = [slice_of("web", ("10.1.0.3", STARTING), ("10.1.0.4", ENDING), ("10.1.0.5", ENDED))]
    assert endpoints(slices, "http", "TCP") == {("10.1.0.4", 8080)}


def test_a_port_without_a_number_stops_nobody() -> None:
    """``port`` may be left out (EndpointPort): how to read that is each consumer's own affair."""
    nameless: dict[str, Any] = {**slice_of("web", ("10.1.0.9", READY)), "ports": [{"name": "http"}]}
    slices = [nameless, slice_of("web", ("10.1.0.2", READY))]
    assert endpoints(slices, "http", "TCP") == {("10.1.0.2", 8080)}
    assert {each.address for each in serving(slices, "http")} == {"10.1.0.2"}


def test_unknown_readiness_is_readiness() -> None:
    assert endpoints([slice_of("web", ("10.1.0.2", {}))], "http", "TCP") == {("10.1.0.2", 8080)}


def test_one_place_in_two_slices_counts_once() -> None:
    slices = [slice_of("web", ("10.1.0.2", READY)), slice_of("web", ("10.1.0.2", READY))]
    assert endpoints(slices, "http", "TCP") == {("10.1.0.2", 8080)}


def test_headless_external_and_v6_services_have_no_rules() -> None:
    services = [
        service("headless", "None"),
        service("external", "", type="ExternalName"),
        service("was-cluster-ip", "10.96.0.9", type="ExternalName"),
        service("six", "fd00::1"),
    ]
    assert ports_of(services, []) == []


def test_another_port_or_service_lends_no_endpoint() -> None:
    slices = [slice_of("other", ("10.1.0.2", READY))]
    assert ports_of([service("web", "10.96.0.7")], slices) == [Port("10.96.0.7", "tcp", 80, ())]
    assert endpoints(slices, "https", "TCP") == set()


def test_a_service_without_endpoints_is_refused() -> None:
    text = ruleset("0a1b2c3d", [Port("10.96.0.7", "tcp", 80, ())])
    table = "inet dockyard_0a1b2c3d_services"
    assert f"add element {table} refused {{ 10.96.0.7 . tcp . 80 }}\n" in text
    assert "add element inet dockyard_0a1b2c3d_services services" not in text


def test_several_endpoints_share_by_chance() -> None:
    targets = (("10.1.0.2", 8080), ("10.1.0.3", 8080))
    text = ruleset("0a1b2c3d", [Port("10.96.0.7", "udp", 53, targets)])
    choice = "numgen random mod 2 map { 0 : 10.1.0.2 . 8080, 1 : 10.1.0.3 . 8080 }"
    assert f"meta l4proto udp dnat ip to {choice}\n" in text
    assert "hairpins { 10.1.0.2 . 10.1.0.2, 10.1.0.3 . 10.1.0.3 }" in text


def test_two_services_with_one_address_do_not_break_the_others() -> None:
    slices = [slice_of("a", ("10.1.0.2", READY)), slice_of("b", ("10.1.0.3", READY))]
    found = ports_of([service("b", "10.96.0.7"), service("a", "10.96.0.7")], slices)
    assert found == [Port("10.96.0.7", "tcp", 80, (("10.1.0.2", 8080),))]


def test_f21_words_that_are_no_address_reach_no_rule() -> None:
    bad = "10.1.0.2 }; flush ruleset; #"
    slices = [slice_of("web", (bad, READY))]
    found = ports_of([service("web", "10.96.0.7"), service("x", bad)], slices)
    assert "flush" not in ruleset("0a1b2c3d", found)

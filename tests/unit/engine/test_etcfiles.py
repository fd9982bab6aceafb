"""The three files of /etc that are the container's own, as Docker writes them."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import Container, ContainerConfig
from dockyard.node.engine.etcfiles import check, hostname, hosts, resolv_conf, sources
from dockyard.node.engine.places import Places

HOST = """# made by somebody
nameserver 127.0.0.53
nameserver 10.0.0.1
nameserver ::1
search example.org
options edns0
"""


def test_a_resolver_on_the_hosts_loopback_is_left_out() -> None:
    found = resolv_conf(HOST, ContainerConfig())
    assert found == "nameserver 10.0.0.1\nsearch example.org\noptions edns0\n"


def test_without_any_resolver_dockers_defaults_are_used() -> None:
    found = resolv_conf("nameserver 127.0.0.53\n", ContainerConfig())
    assert found == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_on_the_hosts_network_its_loopback_is_ours() -> None:
    assert "127.0.0.53" in resolv_conf(HOST, ContainerConfig(network="host"))


def test_what_is_given_replaces_what_the_host_has() -> None:
    config = ContainerConfig(dns=("1.2.3.4",), dns_search=("a.org", "b.org"), dns_options=("x",))
    found = resolv_conf(HOST, config)
    assert found.split("\n")[:-1] == ["search a.org b.org", "nameserver 1.2.3.4", "options x"]


def test_hosts_has_the_container_and_what_was_added() -> None:
    found = hosts("box", "10.9.0.2", ("db:10.9.0.3", "v6=::5"))
    assert "127.0.0.1\tlocalhost\n" in found
    assert found.endswith("10.9.0.3\tdb\n::5\tv6\n10.9.0.2\tbox\n")


def test_a_domain_of_a_dot_is_none() -> None:
    """What docker 28 writes for `--dns 1.1.1.1 --dns-search .`"""
    config = ContainerConfig(dns=("1.1.1.1",), dns_search=(".",))
    assert resolv_conf("search example.org\n", config) == "nameserver 1.1.1.1\n"


def test_the_hosts_own_address_by_name() -> None:
    found = hosts("box", "10.9.0.2", ("gate:host-gateway",), "10.9.0.1")
    assert "10.9.0.1\tgate\n" in found


@pytest.mark.parametrize(
    "config",
    [
        ContainerConfig(extra_hosts=("db",)),
        ContainerConfig(extra_hosts=("db:nowhere",)),
        ContainerConfig(extra_hosts=("a\nb:10.0.0.1",)),
        ContainerConfig(dns=("resolver",)),
        ContainerConfig(dns_search=("a\nnameserver 6.6.6.6",)),
        ContainerConfig(hostname="a\nb"),
    ],
)
def test_a12_no_line_is_smuggled_in(config: ContainerConfig) -> None:
    with pytest.raises(Invalid):
        check(config)


def test_who_shares_a_network_shares_its_files() -> None:
    places = Places("/data")
    one = Container("a" * 64, "a", "cli", 0.0, "created", ContainerConfig())
    other = one._replace(id="b" * 64, config=ContainerConfig(network="container:" + one.id))
    assert sources(places, one) == sources(places, other)
    assert sources(places, one)[0] == (f"/data/containers/{one.id}/hosts", "/etc/hosts")


def test_a_container_calls_itself_by_its_id() -> None:
    found = Container("abcdef123456789", "a", "cli", 0.0, "created", ContainerConfig())
    assert hostname(found) == "abcdef123456"

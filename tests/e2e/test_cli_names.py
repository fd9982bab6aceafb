"""Containers that know each other by name: aliases, links, and what they are told of them."""

from __future__ import annotations

import json

import pytest

from helpers.program import Shell

pytestmark = pytest.mark.root


def up(shell: Shell, name: str, *words: str) -> None:
    shell("run", "-d", "--name", name, *words, "--rootfs", shell.tree, "sleep", "1000")


def hosts(shell: Shell, name: str) -> dict[str, str]:
    """Name -> address, as /etc/hosts in a container has them (hosts(5)); the first counts."""
    found: dict[str, str] = {}
    for line in shell("exec", name, "cat", "/etc/hosts").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for each in names:
            found.setdefault(each, address)
    return found


def address(shell: Shell, name: str) -> str:
    return shell("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
                 name).strip()  # fmt: skip


def test_on_a_network_of_their_own(shell: Shell) -> None:
    shell("network", "create", "back")
    up(shell, "db", "--network", "back", "--network-alias", "database", "--network-alias", "sql")
    up(shell, "web", "--network", "back")
    known = hosts(shell, "web")
    own = address(shell, "db")
    assert {known[name] for name in ("db", "database", "sql")} == {own}
    assert hosts(shell, "db")["web"] == address(shell, "web")
    assert shell("exec", "web", "sh", "-c", "nslookup db >/dev/null 2>&1; grep -c database "
                 "/etc/hosts").strip() == "1"  # fmt: skip
    networks = json.loads(shell("inspect", "db"))[0]["NetworkSettings"]["Networks"]
    assert networks["back"]["Aliases"] == ["database", "sql"]

    shell("exec", "web", "sh", "-c", "echo '10.1.2.3 mine' >>/etc/hosts")
    shell("rename", "db", "store")
    known = hosts(shell, "web")
    assert (known["store"], known["database"], "db" in known) == (own, own, False)
    shell("stop", "-t", "0", "store")
    shell("ps")
    known = hosts(shell, "web")
    assert "store" not in known
    assert known["mine"] == "10.1.2.3"  # what somebody else wrote stays
    shell("start", "store")
    assert hosts(shell, "web")["store"] == address(shell, "store")
    shell("rm", "-f", "store", "web")
    shell("network", "rm", "back")


def test_links(shell: Shell) -> None:
    up(shell, "db", "-e", "MODE=fast", "--expose", "5432", "--expose", "53/udp")
    own = address(shell, "db")
    printed = shell("run", "--rm", "--name", "me", "--link", "db:store-1", "--link", "db",
                    "--rootfs", shell.tree, "sh", "-c", "cat /etc/hosts; env")  # fmt: skip
    line = next(line for line in printed.splitlines() if "store-1" in line and "=" not in line)
    assert line.split()[0] == own
    assert {"store-1", "db"} <= set(line.split())
    variables = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    # docker's documentation, "Legacy container links"
    assert variables["STORE_1_NAME"] == "/me/store-1"
    assert variables["STORE_1_PORT_5432_TCP"] == f"tcp://{own}:5432"
    assert variables["STORE_1_PORT_5432_TCP_ADDR"] == own
    assert variables["STORE_1_PORT_53_UDP_PROTO"] == "udp"
    assert variables["DB_ENV_MODE"] == "fast"

    # one that starts again has another address maybe, and the others hear of it
    up(shell, "lasting", "--link", "db")
    shell("restart", "-t", "0", "db")
    assert hosts(shell, "lasting")["db"] == address(shell, "db")
    assert shell("inspect", "-f", "{{.HostConfig.Links}}", "lasting") == "[/db:/lasting/db]\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--link", "nobody"], "could not get container for nobody: No such container: nobody"),
        (["--network", "host", "--link", "x"], "can't be used with links"),
        (["--network-alias", "x"], "only supported for user-defined networks"),
        (["--network", "none", "--mac-address", "02:42:ac:11:00:99"], "conflicting options"),
        (["--mac-address", "01:00:5e:00:00:01"], "multicast"),
        (["--mac-address", "x"], "x is not a valid mac address"),
        (["--ip6", "2001:db8::1"], "user defined networks only"),
        (["--ip6", "10.0.0.1"], "invalid IPv6 address: 10.0.0.1"),
    ],
)
def test_refusals(shell: Shell, words: list[str], message: str) -> None:
    done = shell.full("run", "--rm", *words, "--rootfs", shell.tree, "true")
    assert done.returncode == 125
    assert message in done.stderr.decode()


def test_a_link_to_one_that_is_down(shell: Shell) -> None:
    shell("create", "--name", "down", "--rootfs", shell.tree, "true")
    done = shell.full("run", "--rm", "--name", "me", "--link", "down:d", "--rootfs", shell.tree,
                      "true")  # fmt: skip
    assert done.returncode == 125
    assert b"Cannot link to a non running container: /down AS /me/d" in done.stderr


def test_an_interface_address(shell: Shell) -> None:
    mac = "02:42:ac:11:00:99"
    words = ("run", "--rm", "--mac-address", mac.upper(), "--rootfs", shell.tree)
    assert shell(*words, "cat", "/sys/class/net/eth0/address") == f"{mac}\n"
    # and it is reached by it: the gateway answers
    assert "0% packet loss" in shell(*words, "sh", "-c",
        "ping -c 1 -W 5 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')")  # fmt: skip


def test_the_machines_own_address_by_name(shell: Shell) -> None:
    printed = shell("run", "--rm", "--add-host", "gate:host-gateway", "--rootfs", shell.tree, "sh",
                    "-c", "ip route; cat /etc/hosts")  # fmt: skip
    gateway = printed.split("default via ")[1].split()[0]
    assert f"{gateway}\tgate\n" in printed

"""D-Bus messages, against the specification's rules and a peer that speaks it: dbus-daemon's tools
are not needed, the bytes are the specification's."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Corrupt, Invalid
from dockyard.node.runtime.cgroups import dbus, systemd


def test_a_call_byte_for_byte() -> None:
    """Fields in an array of (byte, variant), aligned to 8; the body begins aligned to 8."""
    found = dbus.encode(dbus.CALL, 1, "/a", "b.c", "Do", "su", ("x", 7))
    head = b"l\1\0\1" + (12).to_bytes(4, "little") + (1).to_bytes(4, "little")
    fields = (
        b"\1\1o\0\2\0\0\0/a\0" + b"\0" * 5
        + b"\2\1s\0\3\0\0\0b.c\0" + b"\0" * 4
        + b"\3\1s\0\2\0\0\0Do\0" + b"\0" * 5
        + b"\x08\1g\0\2su\0"
    )  # fmt: skip
    body = b"\1\0\0\0x\0" + b"\0\0" + (7).to_bytes(4, "little")
    padded = b"\0" * (-(16 + len(fields)) % 8)
    assert found == head + len(fields).to_bytes(4, "little") + fields + padded + body


def test_what_is_written_is_read() -> None:
    body = ("u.scope", "fail", [("PIDs", ("au", [1, 2])), ("Delegate", ("b", 1)),
                                ("AllowedCPUs", ("ay", [5]))], [])  # fmt: skip
    data = dbus.encode(dbus.CALL, 9, "/p", "i.f", "Start", "ssa(sv)a(sa(sv))", body)
    found = dbus.decode(data)
    assert found.member == "Start"
    assert found.body == ["u.scope", "fail", [("PIDs", [1, 2]), ("Delegate", 1),
                                              ("AllowedCPUs", [5])], []]  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "parts"),
    [("", []), ("sas", ["s", "as"]), ("a(sv)u", ["a(sv)", "u"]), ("a{sv}", ["a{sv}"]),
     ("aai(i(s))", ["aai", "(i(s))"])],
)  # fmt: skip
def test_signatures(signature: str, parts: list[str]) -> None:
    assert dbus.types(signature) == parts


@pytest.mark.parametrize("signature", ["?", "a", "(s", "a(s"])
def test_signatures_that_are_none(signature: str) -> None:
    with pytest.raises(Corrupt):
        dbus.types(signature)


def test_scopes() -> None:
    """systemd.slice(5): a slice is below those that its name begins with."""
    assert systemd.parse("system.slice:runc:c1", "c1").path == "system.slice/runc-c1.scope"
    assert systemd.parse("machine-a-b.slice::libpod-1.scope", "1").path == (
        "machine.slice/machine-a.slice/machine-a-b.slice/libpod-1.scope"
    )
    assert systemd.parse("", "c1").path == "system.slice/dockyard-c1.scope"
    assert systemd.parse(":x:c", "c").path == "system.slice/x-c.scope"
    assert systemd.parse("-.slice:x:c", "c").path == "x-c.scope"


@pytest.mark.parametrize(
    "path", ["/a/b", "a:b", "a:b:c:d", "../x.slice:a:b", "x:a:b", "x.slice:a:b/../c", "x.slice::",
             "a--b.slice:x:y", "x.slice:a:b\n"],
)  # fmt: skip
def test_a13_scopes_that_are_none(path: str) -> None:
    with pytest.raises(Invalid, match="cgroupsPath"):
        systemd.parse(path, "c")


def test_limits_as_properties() -> None:
    """systemd.resource-control(5)."""
    resources = {
        "memory": {"limit": 100, "swap": 150, "reservation": 50},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1,9", "mems": "0"},
        "pids": {"limit": 7},
    }
    assert systemd.properties(resources) == [
        ("MemoryMax", ("t", 100)), ("MemorySwapMax", ("t", 50)), ("MemoryLow", ("t", 50)),
        ("CPUWeight", ("t", 39)), ("CPUQuotaPerSecUSec", ("t", 500000)),
        ("CPUQuotaPeriodUSec", ("t", 100000)), ("AllowedCPUs", ("ay", b"\x03\x02")),
        ("AllowedMemoryNodes", ("ay", b"\x01")), ("TasksMax", ("t", 7)),
    ]  # fmt: skip
    none = {"memory": {"limit": -1, "swap": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}}
    assert {value for _, (_, value) in systemd.properties(none)} == {2**64 - 1}
    assert systemd.properties({}) == []

"""Turns device rules into the files of version 1's devices controller."""

from __future__ import annotations

from dockyard.node.runtime.cgroups import devicerules
from dockyard.node.runtime.cgroups.controller import Write
from dockyard.node.runtime.cgroups.devicerules import Device, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


EVERYTHING = "a *:* rwm"
NOTHING: frozenset[str] = frozenset()


class Devices:
    """devices (cgroup-v1/devices.rst of the kernel). No list: nothing changes.

    A new group begins with its parent's exceptions, which allow what the machine has: everything is
    denied first. Later only what differs is written: a container that runs never loses, not even
    for a moment, what it had before and has after. Version 2's filter: :mod:`..devicefilter`.
    """

    name = in_v2 = member = "devices"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        policy = devicerules.parse(resources)
        if policy is None:
            return
        more, less = ("devices.deny", "devices.allow")[:: 1 if policy.allow else -1]
        listed = (now("devices.list") or EVERYTHING).splitlines()
        present: dict[Device, frozenset[str]] = {}
        if policy.allow or EVERYTHING in listed:
            yield less, "a"
        else:
            present = dict(_parse(line) for line in listed)
        wanted = devicerules.exceptions(policy)
        for device, access in wanted.items():
            if missing := access - present.get(device, NOTHING):
                yield more, devicerules.text(Rule(True, *device, missing))
        for device, access in present.items():
            if gone := access - wanted.get(device, NOTHING):
                yield less, devicerules.text(Rule(True, *device, gone))

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        raise AssertionError("version 2 filters devices by a program")


def _parse(line: str) -> tuple[Device, frozenset[str]]:
    """A line of devices.list: ``c 1:3 rwm``."""
    kind, numbers, access = line.split()
    major, _, minor = numbers.partition(":")
    parts = [None if part == "*" else int(part) for part in (major, minor)]
    return (kind, parts[0], parts[1]), frozenset(access)

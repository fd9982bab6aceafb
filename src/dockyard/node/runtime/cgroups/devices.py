"""Turns ``resources.devices`` into the device rules of cgroup v1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.node.runtime.cgroups.controller import Write, number

DEFAULT = (
    "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
    "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm",
)  # fmt: skip
"""What every container has (config-linux.md, default devices): nodes may be made, these opened."""


class Devices:
    """devices (cgroup-v1/devices.rst of the kernel): rules in order, the last one wins.

    A new group begins with its parent's rules, which allow what the machine has: so everything is
    denied first, unless the rules begin by saying what holds for all. No list: nothing changes.
    """

    name = "devices"

    def v1(self, resources: Mapping[str, Any]) -> Iterator[Write]:
        rules = resources.get("devices")
        if rules is None:
            return
        if not isinstance(rules, list) or len(rules) > 1024:
            raise Invalid("config: linux.resources.devices: not a list of at most 1024 rules")
        writes = [_write(rule, f"devices[{index}]") for index, rule in enumerate(rules)]
        if not writes or writes[0][1] != "a":
            yield "devices.deny", "a"
        yield from writes
        for default in DEFAULT:
            if ("devices.allow", default) not in writes:
                yield "devices.allow", default


def _write(rule: Any, where: str) -> Write:
    if not isinstance(rule, dict):
        raise Invalid(f"config: linux.resources.{where}: not an object")
    kind, access = rule.get("type") or "a", rule.get("access") or "rwm"
    if kind not in ("a", "b", "c") or not set(str(access)) <= set("rwm"):
        raise Invalid(f"config: linux.resources.{where}: type {kind!r}, access {access!r}")
    numbers = [number(rule, name, where) for name in ("major", "minor")]
    major, minor = ("*" if part in (None, -1) else str(part) for part in numbers)
    file = "devices.allow" if rule.get("allow") is True else "devices.deny"
    return file, "a" if kind == "a" else f"{kind} {major}:{minor} {access}"

"""Turns ``resources.devices`` into the device rules of cgroup v1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.node.runtime.cgroups.controller import Write, number


class Devices:
    """devices (cgroup-v1/devices.rst of the kernel): rules in order, the last one wins."""

    name = "devices"

    def v1(self, resources: Mapping[str, Any]) -> Iterator[Write]:
        rules = resources.get("devices") or []
        if not isinstance(rules, list) or len(rules) > 1024:
            raise Invalid("config: linux.resources.devices: not a list of at most 1024 rules")
        for index, rule in enumerate(rules):
            where = f"devices[{index}]"
            if not isinstance(rule, dict):
                raise Invalid(f"config: linux.resources.{where}: not an object")
            kind, access = rule.get("type") or "a", rule.get("access") or "rwm"
            if kind not in ("a", "b", "c") or not set(str(access)) <= set("rwm"):
                raise Invalid(f"config: linux.resources.{where}: type {kind!r}, access {access!r}")
            numbers = [number(rule, name, where) for name in ("major", "minor")]
            major, minor = ("*" if part in (None, -1) else str(part) for part in numbers)
            file = "devices.allow" if rule.get("allow") is True else "devices.deny"
            yield file, "a" if kind == "a" else f"{kind} {major}:{minor} {access}"

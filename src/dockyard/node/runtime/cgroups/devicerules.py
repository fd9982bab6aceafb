"""Turns ``resources.devices`` into rules: for each device and access the last that matches counts.

Every container has the default devices (config-linux.md): nodes may be made, these opened.
"""

# no postponed annotations: typing compiles each of a NamedTuple's that is a string
from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.runtime.cgroups.controller import MOST, number

ACCESS = "rwm"
EVERY = frozenset(ACCESS)
LAST_NUMBER = 2**32 - 1


Device = tuple[str, int | None, int | None]
"""Type, major and minor number; None is every one."""


class Rule(NamedTuple):
    """Allows or denies accesses to devices."""

    allow: bool
    kind: str
    """``c`` or ``b``."""
    major: int | None
    """None: every one."""
    minor: int | None
    access: frozenset[str]

    def covers(self, other: "Rule") -> bool:
        """Whether every device of the other is one of this rule's."""
        return self.kind == other.kind and all(
            ours is None or ours == theirs
            for ours, theirs in ((self.major, other.major), (self.minor, other.minor))
        )

    @property
    def device(self) -> Device:
        return self.kind, self.major, self.minor


class Policy(NamedTuple):
    """Rules in order, after one that holds for all."""

    allow: bool
    rules: tuple[Rule, ...]

    @property
    def everything(self) -> bool:
        """Whether nothing is denied."""
        return self.allow and all(rule.allow for rule in self.rules)


def _default(kind: str, major: int | None, minor: int | None, access: str) -> Rule:
    return Rule(True, kind, major, minor, frozenset(access))


DEFAULT = (
    _default("c", None, None, "m"), _default("b", None, None, "m"),
    *(_default("c", 1, minor, ACCESS) for minor in (3, 5, 7, 8, 9)),
    _default("c", 5, 0, ACCESS), _default("c", 5, 2, ACCESS), _default("c", 136, None, ACCESS),
)  # fmt: skip


def parse(resources: Mapping[str, Any]) -> Policy | None:
    """The policy; None where the resources name no devices: nothing changes then."""
    listed = resources.get("devices")
    if listed is None:
        return None
    if not isinstance(listed, list) or len(listed) > MOST:
        raise Invalid(f"config: linux.resources.devices: not a list of at most {MOST} rules")
    allow = False
    rules: list[Rule] = []
    for index, entry in enumerate(listed):
        for rule in _parse(entry, f"devices[{index}]"):
            if rule is None:
                allow, rules = bool(entry["allow"]), []
            else:
                rules.append(rule)
    return Policy(allow, (*rules, *DEFAULT))


def _parse(entry: Any, where: str) -> list[Rule | None]:
    """The rules of an entry; None is one that holds for every access to every device."""
    if not isinstance(entry, dict):
        raise Invalid(f"config: linux.resources.{where}: not an object")
    kind, access, allow = (
        entry.get("type") or "a",
        entry.get("access") or ACCESS,
        entry.get("allow"),
    )
    if kind not in ("a", "b", "c", "u") or not isinstance(access, str) or not set(access) <= EVERY:
        raise Invalid(f"config: linux.resources.{where}: type {kind!r}, access {access!r}")
    if not isinstance(allow, bool):
        raise Invalid(f"config: linux.resources.{where}.allow: {allow!r}: not true or false")
    major, minor = (number(entry, name, where, -1, LAST_NUMBER) for name in ("major", "minor"))
    major, minor = (None if part == -1 else part for part in (major, minor))
    if kind == "a" and major is None and minor is None and set(access) == EVERY:
        return [None]
    kinds = ("c", "b") if kind == "a" else ("c" if kind == "u" else kind,)
    return [Rule(allow, each, major, minor, frozenset(access)) for each in kinds]


def exceptions(policy: Policy) -> dict[Device, frozenset[str]]:
    """The policy as version 1 keeps it: exceptions from what holds for all, without an order.

    A rule takes back what others have made an exception of; one for some of the devices of a wider
    one cannot be said so.
    """
    found: dict[Device, frozenset[str]] = {}
    for rule in policy.rules:
        if rule.allow != policy.allow:
            found[rule.device] = found.get(rule.device, frozenset()) | rule.access
            continue
        for device, access in list(found.items()):
            other = Rule(not policy.allow, *device, access)
            if not rule.access & access or not _meet(rule, other):
                continue
            if not rule.covers(other):
                word = "allow" if rule.allow else "deny"
                raise Unsupported(
                    f"config: linux.resources.devices: {word} {text(rule)}: cgroup v1 cannot except"
                    f" it from {text(other)}, which stands before"
                )
            found[device] = access - rule.access
    return {device: access for device, access in found.items() if access}


def _meet(one: Rule, other: Rule) -> bool:
    """Whether a device is in both."""
    return one.kind == other.kind and all(
        ours is None or theirs is None or ours == theirs
        for ours, theirs in ((one.major, other.major), (one.minor, other.minor))
    )


def text(rule: Rule) -> str:
    """A rule as version 1 writes it: ``c 1:3 rwm``."""
    major, minor = ("*" if part is None else part for part in (rule.major, rule.minor))
    return f"{rule.kind} {major}:{minor} {''.join(a for a in ACCESS if a in rule.access)}"

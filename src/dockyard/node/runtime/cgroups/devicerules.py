"""Turns ``resources.devices`` into rules: for each device and access the last that matches counts.

Every container has the default devices (config-linux.md): nodes may be made, these opened.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.typed import NamedTuple
from dockyard.node.runtime.cgroups.controller import MOST, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


ACCESS = "rwm"
EVERY = frozenset(ACCESS)
LAST_NUMBER = 2**32 - 1
KINDS = {"a": ("c", "b"), "b": ("b",), "c": ("c",), "u": ("c",)}
"""Types of the specification, and which of the kernel's they stand for."""
_WRITTEN = {frozenset(some): some for some in ("r", "w", "m", "rw", "rm", "wm", "rwm", "")}


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

    def covers(self, other: Rule) -> bool:
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
        kind, major, minor, access, allowed = _checked(entry, index)
        if kind == "a" and major is None and minor is None and access == EVERY:
            allow, rules = allowed, []
            continue
        for each in KINDS[kind]:
            rules.append(Rule(allowed, each, major, minor, access))
    return Policy(allow, (*rules, *DEFAULT))


def _checked(entry: Any, index: int) -> tuple[str, int | None, int | None, frozenset[str], bool]:
    """Type, numbers (None: every one), accesses, and whether they are allowed."""
    if not isinstance(entry, dict):
        raise Invalid(f"config: linux.resources.devices[{index}]: not an object")
    kind, access, allow = (
        entry.get("type") or "a",
        entry.get("access") or ACCESS,
        entry.get("allow"),
    )
    if (
        type(kind) is not str
        or kind not in KINDS
        or not isinstance(access, str)
        or not EVERY.issuperset(access)
    ):
        raise Invalid(f"config: linux.resources.devices[{index}]: type {kind!r}, access {access!r}")
    if allow is not True and allow is not False:
        raise Invalid(
            f"config: linux.resources.devices[{index}].allow: {allow!r}: not true or false"
        )
    major, minor = entry.get("major"), entry.get("minor")
    if major is not None:
        major = _number(entry, "major", index)
    if minor is not None:
        minor = _number(entry, "minor", index)
    return kind, major, minor, frozenset(access), allow


def _number(entry: Mapping[str, Any], name: str, index: int) -> int | None:
    found = number(entry, name, f"devices[{index}]", -1, LAST_NUMBER)
    return None if found == -1 else found


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
    major = "*" if rule.major is None else rule.major
    minor = "*" if rule.minor is None else rule.minor
    return f"{rule.kind} {major}:{minor} {_WRITTEN[rule.access]}"

"""Turns a user and a repository into what that user may do there.

A rule says: these users, in repositories whose names fit these patterns, may do that. What no rule
allows is refused. ``*`` is everybody who has shown who they are, ``anonymous`` everybody.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci import fields
from dockyard.base.oci.strictjson import decode_object

ACTIONS = frozenset({"pull", "push", "delete"})
ANONYMOUS, ANYBODY = "anonymous", "*"
_LARGEST = 1 << 20


class Rule(NamedTuple):
    """Who may do what where."""

    users: frozenset[str]
    repositories: tuple[str, ...]
    actions: frozenset[str]


class Access:
    """All rules."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules

    def allowed(self, user: str | None, repository: str) -> frozenset[str]:
        """What a user may do; None is somebody who has not shown who they are."""
        found: frozenset[str] = frozenset()
        names = {ANONYMOUS} if user is None else {ANONYMOUS, ANYBODY, user}
        for rule in self._rules:
            if rule.users & names and any(
                fnmatch.fnmatchcase(repository, pattern) for pattern in rule.repositories
            ):
                found |= rule.actions
        return found


EVERYTHING = Access((Rule(frozenset({ANONYMOUS}), ("*",), ACTIONS),))
"""No users: everybody may do everything."""


def members(anonymous_pull: bool) -> Access:
    """Where no rules are given: who is known may do everything."""
    rules = [Rule(frozenset({ANYBODY}), ("*",), ACTIONS)]
    if anonymous_pull:
        rules.append(Rule(frozenset({ANONYMOUS}), ("*",), frozenset({"pull"})))
    return Access(tuple(rules))


def parse_rules(data: bytes, what: str) -> Access:
    """``{"rules": [{"users": [...], "repositories": [...], "actions": [...]}]}``."""
    value = decode_object(data, what, limit=_LARGEST)
    rules = []
    for item in fields.items(value, "rules", 10_000):
        rule = fields.mapping(item, "rules")
        unknown = set(rule) - {"users", "repositories", "actions"}
        if unknown:
            raise Invalid(f"{what}: rules: {min(unknown)!r}: users, repositories, actions belong")
        actions = frozenset(fields.texts(rule, "actions", 10))
        actions = ACTIONS if "*" in actions else actions
        if not actions <= ACTIONS:
            raise Invalid(f"{what}: actions: {min(actions - ACTIONS)!r}: pull, push, delete or *")
        rules.append(
            Rule(
                frozenset(fields.texts(rule, "users", 10_000)),
                tuple(fields.texts(rule, "repositories", 10_000)),
                actions,
            )
        )
    return Access(tuple(rules))


class Identity(NamedTuple):
    """Who sends a request, and what that allows."""

    user: str | None
    access: Access | None
    """None: what a token grants counts, and nothing else."""
    grants: Mapping[tuple[str, str], frozenset[str]] = {}
    """(type, name): actions."""
    token: bool = False

    def may(self, action: str, name: str) -> bool:
        if self.access is not None:
            return action in self.access.allowed(self.user, name)
        return bool(self.grants.get(("repository", name), frozenset()) & {action, "*"})

    @property
    def may_list(self) -> bool:
        """The catalog: with rules, everybody sees what they may pull."""
        return self.access is not None or bool(self.grants.get(("registry", "catalog")))

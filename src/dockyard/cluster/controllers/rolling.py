"""Turns a Deployment and its ReplicaSets into the sizes that they should have next. Pure.

The rules of a rolling update: never more than ``replicas + maxSurge`` pods, never fewer than
``replicas - maxUnavailable`` available ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dockyard.cluster.client.transport import Object


class Sizes(NamedTuple):
    """What a ReplicaSet has, and how many of its pods are available."""

    name: str
    replicas: int
    available: int


def bounds(spec: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers: percents of surge round up, of unavailable down."""
    replicas = int(spec.get("replicas", 1))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = _number(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _number(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _number(value: Any, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(str(value).rstrip("%"))
    product = percent * replicas
    return -(-product // 100) if up else product // 100


def roll(spec: Object, new: Sizes, old: list[Sizes]) -> dict[str, int]:
    """The sizes to set now, by ReplicaSet; empty when there is nothing to do until pods change."""
    replicas = int(spec.get("replicas", 1))
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        return _recreate(replicas, new, old)
    surge, unavailable = bounds(spec)
    total = new.replicas + sum(each.replicas for each in old)
    if new.replicas > replicas:
        return {new.name: replicas}
    if new.replicas < replicas and (room := replicas + surge - total) > 0:
        return {new.name: min(replicas, new.replicas + room)}
    return _shrink(replicas - unavailable, new, old)


def _recreate(replicas: int, new: Sizes, old: list[Sizes]) -> dict[str, int]:
    running = {each.name: 0 for each in old if each.replicas}
    if running:
        return running
    return {new.name: replicas} if new.replicas != replicas else {}


def _shrink(least: int, new: Sizes, old: list[Sizes]) -> dict[str, int]:
    """Old sets give up what is not needed: their unavailable pods first, then the oldest's."""
    total = new.replicas + sum(each.replicas for each in old)
    unready_new = new.replicas - new.available
    spare = total - least - unready_new
    if spare <= 0 or not any(each.replicas for each in old):
        return {}
    sizes = {each.name: each.replicas for each in old}
    for each in old:  # pods that do not serve anyway
        idle = min(each.replicas - each.available, spare)
        if idle > 0:
            sizes[each.name] -= idle
            spare -= idle
    available = new.available + sum(min(each.available, sizes[each.name]) for each in old)
    surplus = max(0, available - least)
    for each in old:
        cut = min(sizes[each.name], surplus, max(0, spare))
        sizes[each.name] -= cut
        surplus -= cut
        spare -= cut
    return {each.name: sizes[each.name] for each in old if sizes[each.name] != each.replicas}


def proportional(spec: Object, sets: list[Sizes], before: int) -> dict[str, int]:
    """A Deployment was scaled in the middle of a rollout: every set grows or shrinks by its share.

    ``before`` is how many replicas the sets were sized for.
    """
    replicas = int(spec.get("replicas", 1))
    surge, _ = bounds(spec)
    total = sum(each.replicas for each in sets)
    allowed = replicas + surge if replicas else 0
    change = allowed - total
    if not total or not before or not change:
        return {}
    sizes = {}
    left = change
    for each in sorted(sets, key=lambda each: -each.replicas):
        share = round(each.replicas * allowed / (before + surge)) - each.replicas
        share = min(share, left) if change > 0 else max(share, left)
        sizes[each.name] = max(0, each.replicas + share)
        left -= share
    largest = max(sets, key=lambda each: each.replicas).name
    sizes[largest] = max(0, sizes[largest] + left)
    return {each.name: sizes[each.name] for each in sets if sizes[each.name] != each.replicas}

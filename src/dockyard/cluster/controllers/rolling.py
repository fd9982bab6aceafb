"""Turns a Deployment and its ReplicaSets into the sizes that they should have next. Pure.

The rules of a rolling update: never more than ``replicas + maxSurge`` pods, never fewer than
``replicas - maxUnavailable`` available ones. The arithmetic is that of kubernetes'
pkg/controller/deployment (rolling.go, and ``scale`` of sync.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dockyard.cluster.client.transport import Object


class Sizes(NamedTuple):
    """What a ReplicaSet has, and how many of its pods are available."""

    name: str
    replicas: int
    available: int
    desired: int | None = None
    """The Deployment's replicas when it was last sized; None: that is not known."""
    most: int = 0
    """How many pods all sets together could have then."""


def is_rolling(spec: Object) -> bool:
    """Whether old and new pods may run side by side."""
    return bool((spec.get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def bounds(spec: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers: percents of surge round up, of unavailable down."""
    replicas = int(spec.get("replicas", 1))
    if not is_rolling(spec):
        return 0, 0
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


def roll(spec: Object, new: Sizes, old: Sequence[Sizes]) -> dict[str, int]:
    """The sizes to set now, by ReplicaSet; empty when there is nothing to do until pods change.

    ``old`` are in the order of their creation.
    """
    replicas = int(spec.get("replicas", 1))
    surge, unavailable = bounds(spec)
    total = new.replicas + sum(each.replicas for each in old)
    if new.replicas > replicas:
        return {new.name: replicas}
    if new.replicas < replicas and (room := replicas + surge - total) > 0:
        return {new.name: min(replicas, new.replicas + room)}
    return _shrink(replicas - unavailable, new, old)


def _shrink(least: int, new: Sizes, old: Sequence[Sizes]) -> dict[str, int]:
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
    surplus = max(0, new.available + sum(each.available for each in old) - least)
    for each in old:
        cut = min(sizes[each.name], surplus)
        sizes[each.name] -= cut
        surplus -= cut
    return {each.name: sizes[each.name] for each in old if sizes[each.name] != each.replicas}


def is_scaled(spec: Object, sets: Sequence[Sizes]) -> bool:
    """Whether the Deployment's replicas have changed since its sets were sized."""
    replicas = int(spec.get("replicas", 1))
    return any(each.replicas and each.desired not in (None, replicas) for each in sets)


def scale(spec: Object, new: Sizes | None, old: Sequence[Sizes]) -> dict[str, int]:
    """A Deployment was scaled, or is paused: every set grows or shrinks by its share."""
    replicas = int(spec.get("replicas", 1))
    every = [*old, *([new] if new is not None else [])]
    active = [each for each in every if each.replicas]
    if len(active) <= 1:
        newest = new if new is not None else (old[-1] if old else None)
        only = active[0] if active else newest
        return {only.name: replicas} if only is not None and only.replicas != replicas else {}
    if new is not None and new.replicas == new.available == new.desired == replicas:
        return {each.name: 0 for each in old if each.replicas}
    return _proportional(spec, active) if is_rolling(spec) else {}


def _proportional(spec: Object, active: list[Sizes]) -> dict[str, int]:
    """``active`` are in the order of their creation."""
    replicas = int(spec.get("replicas", 1))
    allowed = replicas + bounds(spec)[0] if replicas else 0
    change = left = allowed - sum(each.replicas for each in active)
    if not change:
        return {}
    order = active[::-1] if change > 0 else active  # of equal ones the newer grow first
    order = sorted(order, key=lambda each: -each.replicas)
    sizes = {}
    for each in order:
        share = _share(each, replicas, allowed)
        share = min(share, left) if change > 0 else max(share, left)
        sizes[each.name] = each.replicas + share
        left -= share
    largest = order[0].name
    sizes[largest] = max(0, sizes[largest] + left)
    return {each.name: sizes[each.name] for each in order if sizes[each.name] != each.replicas}


def _share(each: Sizes, replicas: int, allowed: int) -> int:
    if not replicas:
        return -each.replicas
    if not each.most:
        return 0
    return int(each.replicas * allowed / each.most + 0.5) - each.replicas

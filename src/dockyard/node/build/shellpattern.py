"""Turns the patterns of ``${name#pattern}`` and its kin into cuts, in bounded time.

``*`` is anything, ``?`` one character, a backslash escapes (reference, "Environment replacement").
"""

_ANY, _STAR = "any", "star"
Parts = list[tuple[str, str]]


def cut_start(value: str, pattern: str, *, longest: bool) -> str:
    """``#`` and ``##``: without what fits at the start."""
    ends = _ends(value, _parts(pattern))
    return value[(max(ends) if longest else min(ends)) :] if ends else value


def cut_end(value: str, pattern: str, *, longest: bool) -> str:
    """``%`` and ``%%``: without what fits at the end."""
    ends = _ends(value[::-1], _parts(pattern)[::-1])
    if not ends:
        return value
    return value[: len(value) - (max(ends) if longest else min(ends))]


def replace(value: str, pattern: str, other: str, *, every: bool) -> str:
    """``/`` and ``//``: the longest that fits, the leftmost or every one, becomes ``other``."""
    ends = _farthest(value, _parts(pattern))
    out: list[str] = []
    at = 0
    while at < len(value):
        if ends[at] <= at:
            out.append(value[at])
            at += 1
            continue
        out.append(other)
        at = ends[at]
        if not every:
            break
    return "".join(out) + value[at:]


def _farthest(value: str, parts: Parts) -> list[int]:
    """For each place of the value, where the longest that fits from there ends; -1: nothing."""
    last = len(parts)
    found = [-1] * len(value)
    behind = [-1] * last + [len(value)]
    for at in range(len(value), -1, -1):
        here = [-1] * last + [at]
        for state in range(last - 1, -1, -1):
            kind, wanted = parts[state]
            if kind == _STAR:
                here[state] = max(here[state + 1], behind[state])
            elif at < len(value) and (kind == _ANY or wanted == value[at]):
                here[state] = behind[state + 1]
        if at < len(value):
            found[at] = here[0]
        behind = here
    return found


def _parts(pattern: str) -> Parts:
    found: Parts = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            found.append(("", pattern[at]))
        elif char == "*":
            if not found or found[-1][0] != _STAR:
                found.append((_STAR, ""))
        else:
            found.append((_ANY, "") if char == "?" else ("", char))
        at += 1
    return found


def _ends(value: str, parts: Parts) -> list[int]:
    """Every length at which the start of ``value`` fits the whole pattern."""
    last = len(parts)
    states = _close({0}, parts)
    ends = [0] if last in states else []
    for index, char in enumerate(value, 1):
        following = set()
        for state in states:
            if state == last:
                continue
            kind, wanted = parts[state]
            if kind == _STAR:
                following.add(state)
            elif kind == _ANY or wanted == char:
                following.add(state + 1)
        states = _close(following, parts)
        if last in states:
            ends.append(index)
        if not states:
            break
    return ends


def _close(states: set[int], parts: Parts) -> set[int]:
    """A star may be nothing."""
    found = set(states)
    for state in states:
        while state < len(parts) and parts[state][0] == _STAR:
            state += 1
            found.add(state)
    return found

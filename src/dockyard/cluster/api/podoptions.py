"""Turns the query of a pod's logs or stream into what its kubelet is asked. Pure.

Clients send ``PodLogOptions`` and ``PodExecOptions``; a kubelet knows ``input``, ``output`` and
``error``, each ``1`` (kubernetes.io, the kubelet's streaming paths).
"""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.cluster.meta import errors
from dockyard.cluster.meta import fielderrors as field

Pairs = Iterable[tuple[str, str]]
STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
FLAGS = ("follow", "previous", "timestamps")
LEAST = {"tailLines": 0, "limitBytes": 1, "sinceSeconds": 1}
OURS = ("container", "insecureSkipTLSVerifyBackend")
"""What the API server itself needs."""


def for_kubelet(subresource: str, query: Pairs, pod: str) -> list[tuple[str, str]]:
    """The kubelet's query. Raises BadRequest, Invalid."""
    if subresource == "log":
        return _log(query, pod)
    found = []
    for name, value in query:
        if name in STREAMS:
            if _is_true(value):
                found.append((STREAMS[name], "1"))
        elif name not in OURS:
            found.append((name, value))
    return found


def _is_true(text: str) -> bool:
    """As query parameters are decoded: only these two are false."""
    return text.lower() not in ("false", "0")


def _log(query: Pairs, pod: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    faults = []
    for name, value in query:
        if name in OURS or (name in FLAGS and not _is_true(value)):
            continue
        if name in LEAST and value:
            number = _number(name, value)
            if number < LEAST[name]:
                why = "greater than or equal to 0" if LEAST[name] == 0 else "greater than 0"
                faults.append(field.invalid(name, number, f"must be {why}"))
        found.append((name, "true" if name in FLAGS else value))
    if {"sinceTime", "sinceSeconds"} <= {name for name, value in found if value}:
        why = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        faults.append(field.forbidden("sinceTime", why))
    if faults:
        raise errors.invalid("PodLogOptions", pod, faults)
    return found


def _number(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > 18:
        raise errors.BadRequest(f'{name}: Invalid value: "{text[:40]}": must be a whole number')
    return int(text)

"""Turns ``-p`` words into published ports."""

from __future__ import annotations

import re

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import PortSpec

ANY = "0.0.0.0"  # noqa: S104 - every address of the host, as Docker writes it
PORT = re.compile(
    r"(?:(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:]+\]):)?(?P<host>\d*(?:-\d+)?):)?"
    r"(?P<guest>\d+(?:-\d+)?)(?:/(?P<protocol>[a-z]+))?"
)


def ports(text: str) -> list[PortSpec]:
    """``80``, ``8080:80``, ``127.0.0.1:8080:80/udp``, ``8000-8002:80-82``; ``0:80`` is any port."""
    match = PORT.fullmatch(text)
    if not match:
        raise Invalid(f"invalid containerPort: {text}")
    if match["protocol"] not in (None, "tcp", "udp"):
        raise Invalid(f"invalid proto: {match['protocol']}: tcp or udp")
    guest, host = _range(match["guest"], text), _range(match["host"] or "", text, lowest=0)
    if host and len(host) != len(guest):
        raise Invalid(f"invalid ranges specified for container and host ports: {text}")
    if (match["ip"] or "").startswith("["):
        raise Invalid(f"-p {text}: publishing on an IPv6 address is not implemented")
    return [
        PortSpec(port, match["protocol"] or "tcp", match["ip"] or ANY, host[index] if host else 0)
        for index, port in enumerate(guest)
    ]


def _range(text: str, whole: str, lowest: int = 1) -> list[int]:
    if not text:
        return []
    first, _, last = text.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    if not numbers or numbers[0] < lowest or numbers[-1] > 65535:
        raise Invalid(f"invalid port: {whole}: ports are between 1 and 65535")
    return list(numbers)

"""Turns ``-p`` words into published ports."""

from __future__ import annotations

import re

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.engine.config import PortSpec

ANY = "0.0.0.0"  # noqa: S104 - every address of the host, as Docker writes it
_DIGITS = 9
PORT = re.compile(
    r"(?:(?:(?P<ip>[^/\[\]]+|\[[0-9a-fA-F:.]+\]):)?(?P<host>\d*(?:-\d+)?):)?"
    r"(?P<guest>\d+(?:-\d+)?)(?:/(?P<protocol>[a-zA-Z]+))?"
)


def ports(text: str) -> list[PortSpec]:
    """``80``, ``8080:80``, ``127.0.0.1:8080:80/udp``, ``8000-8002:80-82``; ``0:80`` is any port."""
    match = PORT.fullmatch(text)
    if not match:
        raise Invalid(f"invalid containerPort: {text}")
    protocol = (match["protocol"] or "tcp").lower()
    if protocol == "sctp":
        raise Unsupported(f"-p {text}: sctp: not implemented; tcp or udp")
    if protocol not in ("tcp", "udp"):
        raise Invalid(f"invalid proto: {match['protocol']}")
    guest = _range(match["guest"], "containerPort")
    host = _range(match["host"] or "", "hostPort", lowest=0)
    if host and len(host) != len(guest) and len(guest) != 1:
        raise Invalid("invalid ranges specified for container and host Ports: "
                      f"{match['guest']} and {match['host']}")  # fmt: skip
    ip = _address(match["ip"] or "", text)
    if len(host) > len(guest):  # the first of them that is free
        raise Unsupported(f"-p {text}: a choice of host ports: not implemented; name one, or none")
    return [
        PortSpec(port, protocol, ip, host[index] if host else 0) for index, port in enumerate(guest)
    ]


def _address(text: str, whole: str) -> str:
    if not text or text == ANY:
        return ANY
    import ipaddress

    try:
        found = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        raise Invalid(f"invalid IP address: {text}") from None
    if found.version == 6:
        raise Unsupported(f"-p {whole}: publishing on an IPv6 address is not implemented")
    return str(found)


def _range(text: str, what: str, lowest: int = 1) -> list[int]:
    if not text:
        return []
    first, _, last = text.partition("-")
    short = max(len(first), len(last)) <= _DIGITS
    numbers = range(int(first), int(last or first) + 1) if short else range(0)
    if not numbers or numbers[0] < lowest or numbers[-1] > 65535:
        raise Invalid(f"invalid {what}: {text}")
    return list(numbers)

"""Turns the links of this machine into the blocks of addresses that clusters on it have.

A cluster's Service addresses are in no routing table, and its pods' only while there are pods. So
the link that holds a cluster's own addresses names both blocks in its alias: whoever chooses a
block, or starts a cluster that has chosen long ago, sees those of the clusters that run.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dockyard.boot.layout import Settings

LINKS = Path("/sys/class/net")
WORD = "services"


class Claim(NamedTuple):
    """What one cluster that runs here has."""

    instance: str
    blocks: tuple[str, ...]


def alias(instance: str, settings: Settings) -> str:
    """What the link of a cluster's own addresses says."""
    return f"dockyard {instance} {WORD} {settings.service_cidr} {settings.pod_cidr}"


def found() -> list[Claim]:
    """The claims of all clusters that run on this machine."""
    claims = []
    for link in sorted(LINKS.iterdir()):
        try:
            words = (link / "ifalias").read_text().split()
        except OSError:  # the link went away meanwhile, or has none
            continue
        if words[:1] == ["dockyard"] and words[2:3] == [WORD]:
            claims.append(Claim(words[1], tuple(words[3:])))
    return claims


def conflict(instance: str, settings: Settings, claims: Iterable[Claim]) -> str:
    """Another cluster's block that one of ours overlaps, in words; empty: there is none. Pure."""
    ours = [ipaddress.ip_network(block) for block in (settings.service_cidr, settings.pod_cidr)]
    for claim in claims:
        for block in claim.blocks:
            if claim.instance != instance and any(
                ipaddress.ip_network(block).overlaps(own) for own in ours
            ):
                return f"{block}, which cluster {claim.instance} on this machine has"
    return ""

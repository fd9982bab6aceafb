"""Turns other programs' refusal to forward (iptables with policy DROP, as Docker sets it) into a
passage for our links.

In nftables a packet must be let through by every table. So where a FORWARD chain drops what it does
not know, two rules of ours stand at its top; what may pass is then up to our own tables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from dockyard.base.net.nft import Nft, RuleError

CHAIN = "FORWARD"


class Chain(NamedTuple):
    """A chain of somebody else's."""

    family: str
    table: str
    name: str


def open_passage(nft: Nft, instance: str) -> None:
    """Let our links' packets through every chain that would drop them. Idempotent."""
    for chain in dropping(nft.ask("list chains")):
        found = handles(nft.ask(_listing(chain)), comment(instance))
        if len(found) != 2:
            nft.run(_removal(chain, found) + _rules(chain, instance))


def close_passage(nft: Nft, instance: str) -> None:
    """Take our rules out of other programs' chains."""
    for chain in forwarding(nft.ask("list chains")):
        with contextlib.suppress(RuleError):  # its owner has removed it meanwhile
            nft.run(_removal(chain, handles(nft.ask(_listing(chain)), comment(instance))))


def forwarding(items: Iterable[dict[str, Any]]) -> list[Chain]:
    """The chains that iptables' FORWARD is."""
    return [_chain(item["chain"]) for item in items if _is_forward(item)]


def dropping(items: Iterable[dict[str, Any]]) -> list[Chain]:
    """Those of them that drop what they do not know."""
    return [
        _chain(item["chain"])
        for item in items
        if _is_forward(item) and item["chain"].get("policy") == "drop"
    ]


def comment(instance: str) -> str:
    """How our rules in another's chain are known."""
    return f"dockyard {instance}"


def handles(items: Iterable[dict[str, Any]], wanted: str) -> list[int]:
    """The rules with a comment."""
    rules = (item["rule"] for item in items if "rule" in item)
    return [int(rule["handle"]) for rule in rules if rule.get("comment") == wanted]


def _is_forward(item: dict[str, Any]) -> bool:
    chain = item.get("chain") or {}
    return (
        chain.get("family") == "ip"
        and chain.get("name") == CHAIN
        and chain.get("hook") == "forward"
    )


def _chain(found: dict[str, Any]) -> Chain:
    return Chain(found["family"], found["table"], found["name"])


def _listing(chain: Chain) -> str:
    return f"list chain {chain.family} {chain.table} {chain.name}"


def _removal(chain: Chain, found: Iterable[int]) -> str:
    place = f"{chain.family} {chain.table} {chain.name}"
    return "".join(f"delete rule {place} handle {handle}\n" for handle in found)


def _rules(chain: Chain, instance: str) -> str:
    place, links = f"{chain.family} {chain.table} {chain.name}", f'"dy{instance}*"'
    return "".join(
        f'insert rule {place} {side} {links} accept comment "{comment(instance)}"\n'
        for side in ("iifname", "oifname")
    )

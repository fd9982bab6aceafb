"""Turns leases into the table of published ports and bridges, and keeps it as the leases are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from dockyard.base.net.conntrack import Conntrack, Flow
from dockyard.base.net.nft import Missing, Nft
from dockyard.node.network import hostports, passage, rules, veth
from dockyard.node.network.leases import Chooser, Lease, Leases, Port


class Publisher:
    """The nftables table of one data root. Callers hold :func:`machine.alone` for a change."""

    def __init__(self, instance: str, leases: Leases) -> None:
        self._instance, self._leases = instance, leases

    def chooser(self, nft: Nft, wanted: tuple[Port, ...]) -> Chooser:
        """Chooses host ports that nobody on this machine has."""
        others = hostports.of_others(nft, rules.table_name(self._instance)) if wanted else ()
        return lambda held: hostports.choose(wanted, (*others, *held), hostports.bind)

    def publish(self, nft: Nft, lease: Lease) -> None:
        """Open a lease's ports."""
        try:
            nft.run(rules.publish(self._instance, lease.address, lease.ports))
        except Missing:  # somebody has flushed the machine's ruleset
            self.rebuild(nft)
        _forget(lambda flow: _is_untranslated(flow, lease.ports), lease.ports)

    def unpublish(self, nft: Nft, lease: Lease) -> None:
        """Close them. A table that is gone has none open."""
        commands = rules.unpublish(self._instance, lease.address, lease.ports)
        try:
            nft.run(commands)
        except Missing:  # all of it, or some
            for command in commands.splitlines():
                with contextlib.suppress(Missing):
                    nft.run(command)
        _forget(lambda flow: flow.reply.source == lease.address, lease.ports)

    def rebuild(self, nft: Nft) -> None:
        """The whole table from the leases; and a way through other programs' firewalls."""
        commands = [rules.base(self._instance), rules.emptied(self._instance)]
        for row in self._leases.networks():
            bridge = veth.link_name(self._instance, veth.BRIDGE, row.number)
            commands.append(rules.add_subnet(self._instance, row.subnet, bridge))
        commands += [
            rules.publish(self._instance, lease.address, lease.ports)
            for lease in self._leases.all()
        ]
        nft.run("".join(commands))
        passage.open_passage(nft, self._instance)

    def remove(self, nft: Nft) -> None:
        """The table, and what was put into those of others."""
        nft.delete_table("inet", rules.table_name(self._instance))
        passage.close_passage(nft, self._instance)


def _is_untranslated(flow: Flow, ports: Iterable[Port]) -> bool:
    """A flow that began before the port was published: it would go on past the container."""
    wanted = {port.host_port for port in ports if port.protocol == "udp"}
    original = flow.original
    return original.destination_port in wanted and flow.reply.source == original.destination


def _forget(is_stale: Callable[[Flow], bool], ports: Iterable[Port]) -> None:
    """UDP has no end that the kernel could see: its flows are forgotten by hand."""
    if not any(port.protocol == "udp" for port in ports):
        return
    with Conntrack() as tracked:
        for flow in tracked.flows():
            if flow.protocol == "udp" and is_stale(flow):
                tracked.delete(flow)

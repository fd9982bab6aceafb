"""Links, addresses, routes (netlink) and firewall rules (nftables)."""

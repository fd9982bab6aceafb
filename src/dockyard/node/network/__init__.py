"""Bridges, veth pairs, addresses, published ports."""

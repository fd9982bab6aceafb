"""Pods bound to this node come in, sandboxes and containers through the CRI go out."""

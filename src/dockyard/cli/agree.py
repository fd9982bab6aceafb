"""Turns a warning into the user's yes or no, in docker's words."""

from __future__ import annotations

import sys


def agreed(warning: str) -> bool:
    """Whether the user goes on; no answer is none."""
    print(warning)
    print("Are you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

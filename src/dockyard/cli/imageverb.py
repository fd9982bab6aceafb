"""Turns docker's short forms (``tag``, ``save``, ``load``, ...) into the verbs of ``image``."""

from __future__ import annotations

from dockyard.cli import image


def run(argv: list[str]) -> int:
    """``argv[0]`` is the verb."""
    token = image.NOUN.set("")
    try:
        return image.VERBS[argv[0]][0](argv[1:])
    finally:
        image.NOUN.reset(token)

"""Turns the start of `dockyard-oci` into its command line, and the exit code into the end."""

from __future__ import annotations

import gc
from typing import NoReturn

YOUNG = 50_000
"""Objects between two collections, which are worth nothing to a command that ends."""


def program() -> NoReturn:
    """The ``dockyard-oci`` program."""
    gc.set_threshold(YOUNG)
    from dockyard.base.leave import leave
    from dockyard.node.runtime import oci_cli

    leave(oci_cli.main())

"""Turns the start of `dockyard-oci` into its command line, and the exit code into the end."""

from __future__ import annotations

import gc
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

YOUNG = 50_000
"""Objects between two collections, which are worth nothing to a command that ends."""


def program() -> NoReturn:
    """The ``dockyard-oci`` program."""
    gc.set_threshold(YOUNG)
    from dockyard.base.pack import Pack

    pack = Pack(f"{os.path.dirname(__file__)}/__pycache__/dockyard-oci.pack")
    pack.install()
    from dockyard.base.leave import leave
    from dockyard.node.runtime import oci_cli

    code = oci_cli.main()
    pack.keep()
    leave(code)

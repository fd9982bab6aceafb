"""Turns an exit code into the end of this process, at once.

To take the interpreter apart, object by object, is a tenth of a short command's time.
"""

from __future__ import annotations

import atexit
import os
import sys

from dockyard.base import contexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End, with what was printed written out and what was registered for the end done."""
    with contexts.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contexts.suppress(OSError, ValueError):
        sys.stderr.flush()
    if (threads := sys.modules.get("threading")) and threads.active_count() > 1:
        raise SystemExit(code)  # which waits for them
    atexit._run_exitfuncs()
    os._exit(code)

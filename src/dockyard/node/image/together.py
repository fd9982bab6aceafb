"""Turns what a manifest names into work that is done on several blobs at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.manifest import Manifest

AT_ONCE = 4


def every_blob(found: Manifest, act: Callable[[Descriptor], None]) -> None:
    """Its layers and its configuration, each once. The first error ends what has not begun."""
    wanted = dict.fromkeys((*found.layers, found.config))
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="blob") as pool:
        try:
            for _ in pool.map(act, wanted):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

"""Turns blobs that manifests name into work that is done on several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from dockyard.base.oci.descriptor import Descriptor

AT_ONCE = 4


def every_blob(blobs: Iterable[Descriptor], act: Callable[[Descriptor], None]) -> None:
    """Each once. The first error ends what has not begun."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="blob") as pool:
        try:
            for _ in pool.map(act, dict.fromkeys(blobs)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

"""Turns layers that lie elsewhere (a registry, an archive) into stored and unpacked ones.

Several come side by side and unpack while they come; each takes its place after the one below.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from dockyard.base.errors import Unavailable
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.image import Layer
from dockyard.node.image.progress import Progress

_AT_ONCE = 3
_LOOK_SECONDS = 0.05
"""How often who waits for another process looks whether its layer has come."""

Source = Callable[[Descriptor], Iterable[bytes]]


def fetch_layers(
    catalog: Catalog, layers: tuple[Layer, ...], source: Source, progress: Progress
) -> int:
    """Have all layers (lowest first) in the store; how many were not there. All threads end."""
    fetch = _Fetch(catalog, source, progress)
    missing: list[Future[None]] = []
    below: list[Digest] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="layer") as pool:
        try:
            for layer in layers:
                if fetch.is_here(layer):
                    progress.status(layer.digest.short, "Already exists")
                else:
                    progress.status(layer.digest.short, "Pulling fs layer")
                    previous = missing[-1] if missing else None
                    missing.append(pool.submit(fetch.bring, layer, below[::-1], previous))
                below.append(layer.chain_id)
            for future in missing:
                future.result()
        except BaseException:
            fetch.stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    return len(missing)


class _Fetch:
    def __init__(self, catalog: Catalog, source: Source, progress: Progress) -> None:
        self._catalog = catalog
        self._source = source
        self._progress = progress
        self.stopping = threading.Event()

    def is_here(self, layer: Layer) -> bool:
        return self._catalog.layers.has(layer.chain_id) and self._catalog.blobs.has(_blob(layer))

    def bring(self, layer: Layer, below: list[Digest], previous: Future[None] | None) -> None:
        """``below``: chains under this layer, topmost first. Jobs start in order, so the
        ``previous`` one runs or has ended: waiting for it can't lock up. What another process
        brings meanwhile is not fetched twice: it waits for nothing above this layer."""
        part, waiting = layer.digest.short, False

        def wait() -> None:
            nonlocal waiting
            if not waiting:
                self._progress.status(part, "Waiting")
            waiting = True
            if self.stopping.wait(_LOOK_SECONDS):
                raise Unavailable(f"layer: {layer.digest}: given up: another one failed")

        with self._catalog.ingest.alone(layer.chain_id.hex, wait):
            if self.is_here(layer):
                self._progress.status(part, "Already exists")
            else:
                self._fetch(layer, below, previous)

    def _fetch(self, layer: Layer, below: list[Digest], previous: Future[None] | None) -> None:
        blobs, layers, part = self._catalog.blobs, self._catalog.layers, layer.digest.short
        blob = _blob(layer)
        if blobs.has(blob):
            chunks = blobs.chunks(blob)
        else:
            chunks = blobs.keep(self._counted(blob, part), blob)
        what = f"layer {layer.digest}"
        with layers.unpack(chunks, layer.diff_id, what) as staged:
            if previous is not None:
                previous.result()
            layers.adopt(staged, layer.chain_id, below)
            self._catalog.add_layer(layer, staged.unpacked)
        self._progress.status(part, "Pull complete")

    def _counted(self, blob: Descriptor, part: str) -> Iterator[bytes]:
        done = 0
        for chunk in self._source(blob):
            if self.stopping.is_set():
                raise Unavailable(f"layer: {blob.digest}: given up: another one failed")
            done += len(chunk)
            self._progress.advance(part, "Downloading", done, blob.size)
            yield chunk


def _blob(layer: Layer) -> Descriptor:
    return Descriptor(layer.media_type, layer.digest, layer.size)

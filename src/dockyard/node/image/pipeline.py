"""Turns an iterator into one that a thread runs ahead of its reader.

Hashing, inflating and writing release the interpreter's lock, so stages joined by :func:`ahead`
run side by side. The thread has ended when the block is left, whatever happened.
"""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator

_DEPTH = 16


class _Failed:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


@contextlib.contextmanager
def ahead(chunks: Iterable[bytes], depth: int = _DEPTH) -> Iterator[Iterator[bytes]]:
    """The same chunks, made by a thread that is at most ``depth`` chunks ahead."""
    waiting: queue.Queue[bytes | _Failed | None] = queue.Queue(depth)
    stopping = threading.Event()

    def run() -> None:
        last: _Failed | None = None
        source = iter(chunks)
        try:
            for chunk in source:
                waiting.put(chunk)
                if stopping.is_set():
                    break
            if isinstance(source, Generator):
                source.close()  # what it holds ends here, in its own thread
        except BaseException as error:
            last = _Failed(error)
        waiting.put(last)

    def received() -> Iterator[bytes]:
        while True:
            chunk = waiting.get()
            if isinstance(chunk, bytes):
                yield chunk
                continue
            if chunk is not None:
                raise chunk.error
            return

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        stopping.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                waiting.get(timeout=0.02)
        thread.join()

"""Turns connections to the published port into connections to the version that is in service.

    front.py serve             forward, for ever
    front.py to HOST:PORT      from the next connection on, there

The one thing that changes is a line in a file of a volume, by rename: whoever connects meets the
old version or the new one, never none. Connections that are open stay where they are.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

TARGET = Path("/front/target")
CHUNK = 64 << 10
TRIES = 20
PAUSE = 0.05


def switch(target: str) -> None:
    host, colon, port = target.rpartition(":")
    if not host or not colon or not port.isdecimal():
        raise SystemExit(f"front: {target!r}: HOST:PORT is expected")
    fresh = TARGET.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(target)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(TARGET)


async def reach() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The version in service. Nothing has been sent yet, so trying again repeats nothing."""
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            host, _, port = TARGET.read_text().rpartition(":")  # noqa: ASYNC240 - one short line
            return await asyncio.open_connection(host, int(port))
        await asyncio.sleep(PAUSE)
    raise ConnectionError("nobody is in service")


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inner_reader, inner_writer = await reach()
    except ConnectionError as error:
        print(f"front: {error}", flush=True)
        writer.close()
        return
    try:
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
    finally:
        inner_writer.close()
        writer.close()


async def serve() -> None:
    async with await asyncio.start_server(forward, "0.0.0.0", 8080) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    elif len(sys.argv) == 3 and sys.argv[1] == "to":
        switch(sys.argv[2])
    else:
        raise SystemExit(__doc__)

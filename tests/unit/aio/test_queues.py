"""A channel hands over in order, ends once, and loses nothing when a reader is cancelled."""

import asyncio

import pytest

from dockyard.base.aio.queues import Channel, Closed, Full
from dockyard.base.aio.tasks import Tasks


def test_order_and_end() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel()
        for number in range(3):
            channel.put(number)
        channel.close()
        assert [item async for item in channel] == [0, 1, 2]
        with pytest.raises(Closed):
            channel.put(3)

    asyncio.run(main())


def test_a_full_channel_tells_the_writer() -> None:
    channel: Channel[int] = Channel(bound=1)
    channel.put(1)
    with pytest.raises(Full):
        channel.put(2)


def test_a_closing_error_comes_after_what_is_queued() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel()
        channel.put(1)
        channel.close(ConnectionError("gone"))
        assert await channel.get() == 1
        with pytest.raises(ConnectionError):
            await channel.get()

    asyncio.run(main())


def test_a_cancelled_reader_passes_its_wake_up_on() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel()
        first = asyncio.ensure_future(channel.get())
        second = asyncio.ensure_future(channel.get())
        await asyncio.sleep(0)
        channel.put(7)
        first.cancel()
        assert await second == 7

    asyncio.run(main())


def test_an_essential_task_ends_its_owner_with_its_error() -> None:
    async def main() -> None:
        async def fail() -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            async with Tasks() as tasks:
                tasks.start(fail(), name="fail", essential=True)
                await asyncio.Event().wait()

    asyncio.run(main())


def test_leaving_the_block_ends_every_task() -> None:
    ended: list[str] = []

    async def main() -> None:
        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

        async with Tasks() as tasks:
            tasks.start(wait(), name="wait")
            await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == ["ended"]


def test_a_reader_that_is_cancelled_just_before_a_put_ends_and_loses_nothing() -> None:
    async def main() -> None:
        channel: Channel[str] = Channel()
        reader = asyncio.create_task(channel.get())
        await asyncio.sleep(0)
        reader.cancel()
        channel.put("kept")  # before the reader has heard of its cancellation
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await channel.get() == "kept"
        reader = asyncio.create_task(channel.get())
        await asyncio.sleep(0)
        reader.cancel()
        channel.close()
        with pytest.raises(asyncio.CancelledError):
            await reader

    asyncio.run(main())

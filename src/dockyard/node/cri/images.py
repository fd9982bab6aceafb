"""Turns the CRI's image calls into the image store's; pulls of one image wait for each other."""

from __future__ import annotations

import asyncio

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import DockyardError, NotFound
from dockyard.interfaces import cri
from dockyard.node.image.image import Image
from dockyard.node.image.store import ImageStore


class CriImages:
    """:class:`dockyard.interfaces.cri.ImageService` over an image store."""

    def __init__(self, store: ImageStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._pulling: dict[str, asyncio.Lock] = {}

    async def pull_image(self, image: str) -> cri.Image:
        lock = self._pulling.setdefault(image, asyncio.Lock())
        async with lock:
            try:
                return _image(await in_thread(self._clock, self._store.pull, image))
            except DockyardError as error:
                raise cri.PullFailed(str(error)) from error
            except OSError as error:
                raise cri.PullFailed(f"image {image}: {error}") from error

    async def image_status(self, image: str) -> cri.Image | None:
        try:
            return _image(await in_thread(self._clock, self._store.resolve, image))
        except NotFound:
            return None
        except DockyardError as error:
            raise cri.PullFailed(str(error)) from error

    async def list_images(self) -> list[cri.Image]:
        return [_image(found) for found in await in_thread(self._clock, self._store.list)]

    async def remove_image(self, image: str) -> None:
        try:
            await in_thread(self._clock, self._store.remove, image)
        except NotFound:
            return


def _image(found: Image) -> cri.Image:
    return cri.Image(
        id=str(found.id),
        tags=found.names,
        digests=found.digests,
        size=found.size,
        user=found.config.user,
    )

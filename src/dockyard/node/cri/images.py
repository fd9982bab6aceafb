"""Turns the CRI's image calls into the image store's; pulls of one image wait for each other."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from urllib.parse import urlsplit

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import DockyardError, Invalid, NotFound, Unavailable
from dockyard.base.oci.reference import parse_reference
from dockyard.interfaces import cri
from dockyard.node.cri.stats import tree_usage
from dockyard.node.image.image import Image
from dockyard.node.image.registry.credentials import unpack_pair
from dockyard.node.image.registry.hosts import Credentials
from dockyard.node.image.store import ImageStore
from dockyard.node.image.trust.refusal import PolicyRefused


class CriImages:
    """:class:`dockyard.interfaces.cri.ImageService` over an image store."""

    def __init__(self, store: ImageStore, folder: str, clock: Clock) -> None:
        """``folder``: where the store keeps images."""
        self._store, self._folder, self._clock = store, folder, clock
        self._pulling: dict[str, asyncio.Lock] = {}

    async def pull_image(self, image: str, auth: cri.AuthConfig | None = None) -> cri.Image:
        lock = self._pulling.setdefault(image, asyncio.Lock())
        try:
            async with lock:
                shown = _credentials(image, auth)
                pull = partial(self._store.pull, image, auth=shown)
                return _image(await in_thread(self._clock, pull))
        except Invalid as error:
            raise cri.InvalidImageName(str(error)) from error
        except Unavailable as error:
            raise cri.RegistryUnavailable(str(error)) from error
        except PolicyRefused as error:
            raise cri.SignatureRefused(str(error)) from error
        except DockyardError as error:
            raise cri.PullFailed(str(error)) from error
        except OSError as error:
            raise cri.PullFailed(f"image {image}: {error}") from error
        finally:
            if not lock.locked():
                self._pulling.pop(image, None)

    async def image_status(self, image: str) -> cri.Image | None:
        try:
            return _image(await in_thread(self._clock, self._store.resolve, image))
        except NotFound:
            return None
        except Invalid as error:
            raise cri.InvalidImageName(str(error)) from error

    async def list_images(self) -> list[cri.Image]:
        return [_image(found) for found in await in_thread(self._clock, self._store.list)]

    async def remove_image(self, image: str) -> None:
        try:
            await in_thread(self._clock, self._store.remove, image)
        except NotFound:
            return

    async def image_fs_info(self) -> cri.FilesystemUsage:
        def look() -> tuple[int, int]:
            return tree_usage(self._folder) if os.path.isdir(self._folder) else (0, 0)

        used, inodes = await in_thread(self._clock, look)
        return cri.FilesystemUsage(self._folder, self._clock.time(), used, inodes)


def _credentials(image: str, auth: cri.AuthConfig | None) -> Credentials | None:
    """What is shown to the image's registry (api.proto, AuthConfig); None: what config.json has."""
    if auth is None:
        return None
    if auth.server_address:
        server = auth.server_address
        host = urlsplit(server if "://" in server else f"//{server}").netloc
        if host != parse_reference(image).registry:
            return None
    if auth.registry_token:
        return Credentials(token=auth.registry_token)
    if auth.identity_token:
        return Credentials(refresh=auth.identity_token)
    if auth.auth and not auth.username:
        return unpack_pair(auth.auth, f"image {image}: credentials")
    return Credentials(auth.username, auth.password) if auth.username else None


def _image(found: Image) -> cri.Image:
    return cri.Image(
        id=str(found.id),
        tags=found.names,
        digests=found.digests,
        size=found.size,
        user=found.config.user,
    )

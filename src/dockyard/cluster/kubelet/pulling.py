"""Turns an image's name and pull policy into an image on the node, or the reason why there is none.

Policy, pauses and wording are the kubelet's image manager's.
"""

from __future__ import annotations

from collections.abc import Callable

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import DockyardError, Invalid
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.announcer import NORMAL, WARNING, Announcer
from dockyard.cluster.kubelet.backoff import BackOff, go_duration
from dockyard.cluster.kubelet.keyring import credentials_for
from dockyard.cluster.kubelet.references import Lookup, pull_secrets
from dockyard.interfaces import cri

SOON = 1.0
"""After a pull has failed: then the status says that it is backing off."""
REFUSED = "SignatureValidationFailed"
_Say = Callable[[str, str, str], None]
"""(type, reason, message) of an event of the container."""


class NoImage(DockyardError):
    """The container waits; ``reason`` is what its status says."""

    def __init__(self, reason: str, message: str, seconds: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.seconds = seconds
        """Until the next try."""


class Puller:
    """Images for the pods of a node."""

    def __init__(self, images: cri.ImageService, announcer: Announcer, clock: Clock) -> None:
        self._images, self._announcer, self._clock = images, announcer, clock
        self._pauses = BackOff()
        self._failures: dict[str, tuple[float, str]] = {}

    async def ensure(self, pod: Object, spec: Object, lookup: Lookup, *, init: bool) -> cri.Image:
        """The container's image, pulled with the pod's secrets. Raises NoImage."""
        name, image = spec["name"], spec["image"]

        def say(kind: str, reason: str, message: str) -> None:
            self._announcer.say(pod, kind, reason, message, name, init=init)

        policy = spec.get("imagePullPolicy", "IfNotPresent")
        try:
            found = await self._images.image_status(image)
        except cri.InvalidImageName as error:
            message = (f'Failed to apply default image tag "{image}": '
                       f'couldn\'t parse image name "{image}": {error}')  # fmt: skip
            say(WARNING, "InspectFailed", message)
            raise NoImage("InvalidImageName", message, 60.0) from error
        if found is not None and policy != "Always":
            say(NORMAL, "Pulled", f'Container image "{image}" already present on machine')
            return found
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            say(WARNING, "ErrImageNeverPull", message)
            raise NoImage("ErrImageNeverPull", message, 10.0)
        return await self._pull(f"{pod['metadata']['uid']}_{image}", image, say, pod, lookup)

    async def _pull(
        self, key: str, image: str, say: _Say, pod: Object, lookup: Lookup
    ) -> cri.Image:
        since, why = self._failures.get(key, (0.0, ""))
        left = self._pauses.left(key, since, self._clock.time()) if why else 0.0
        if left > 0:
            message = f'Back-off pulling image "{image}"'
            say(NORMAL, "BackOff", message)
            raise NoImage("ImagePullBackOff", f"{message}: {why}", left)
        say(NORMAL, "Pulling", f'Pulling image "{image}"')
        started = self._clock.monotonic()
        try:
            found = await self._with_secrets(image, self._secrets(pod, lookup))
        except cri.PullFailed as error:
            say(WARNING, "Failed", f'Failed to pull image "{image}": {_code(error)}{error}')
            reason, message = _told(image, error)
            now = self._clock.time()
            self._pauses.tried(key, now, now)
            self._failures[key] = (now, f"{reason}: {message}")
            left = self._pauses.left(key, now, now)
            raise NoImage(reason, message, min(left, SOON)) from error
        took = go_duration(round(self._clock.monotonic() - started, 3))
        say(NORMAL, "Pulled", f'Successfully pulled image "{image}" in {took} ({took} including '
                              f"waiting). Image size: {found.size} bytes.")  # fmt: skip
        self._pauses.forget(key)
        self._failures.pop(key, None)
        return found

    def _secrets(self, pod: Object, lookup: Lookup) -> list[Object]:
        """Those of the pod's pull secrets that are there; an event tells of the others."""
        names = pull_secrets(pod)
        found = {name: lookup("secret", name) for name in names}
        if missing := [name for name in names if found[name] is None]:
            text = (f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                    "attempting to pull the image may not succeed.")  # fmt: skip
            self._announcer.say(pod, WARNING, "FailedToRetrieveImagePullSecret", text)
        return [secret for name in names if (secret := found[name]) is not None]

    async def _with_secrets(self, image: str, secrets: list[Object]) -> cri.Image:
        """One after the other is tried; none for this image: as the runtime is configured."""
        try:
            credentials = credentials_for(image, secrets)
        except Invalid as error:
            raise cri.PullFailed(str(error)) from error
        if not credentials:
            return await self._images.pull_image(image)
        failures: list[cri.PullFailed] = []
        for auth in credentials:
            try:
                return await self._images.pull_image(image, auth)
            except cri.PullFailed as error:
                failures.append(error)
        texts = list(dict.fromkeys(str(error) for error in failures))
        if len(texts) == 1:
            raise failures[0]
        raise cri.PullFailed(f"[{', '.join(texts)}]")

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._failures if key.startswith(f"{uid}_")]:
            del self._failures[key]
            self._pauses.forget(key)


def _code(error: cri.PullFailed) -> str:
    """How the CRI's own word for a failure begins its message (cri-api, pkg/errors)."""
    return f"{REFUSED}: " if isinstance(error, cri.SignatureRefused) else ""


def _told(image: str, error: cri.PullFailed) -> tuple[str, str]:
    """Reason and message of a container that waits (the kubelet's evalCRIPullErr)."""
    if isinstance(error, cri.SignatureRefused):
        return REFUSED, (f"image pull failed for {image} because the signature validation failed: "
                         f"{error}")  # fmt: skip
    return "ErrImagePull", str(error)

"""Turns the names that a pod mentions (ConfigMaps, Secrets, claims) into objects of the API.

What was read last is kept while a pod of this node names it: when the API is away, a container that
crashed is started again with what was known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import CLAIMS, CONFIG_MAPS, SECRETS, VOLUMES
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.meta.errors import NotFound

KINDS: dict[str, Resource] = {"configmap": CONFIG_MAPS, "secret": SECRETS}
Lookup = Callable[[str, str], Object | None]
"""(``configmap`` or ``secret``, name) -> the object of the pod's namespace."""
Key = tuple[Resource, str, str]


class Named(NamedTuple):
    """All that one pod names, as it is now."""

    lookup: Lookup
    claims: Callable[[str], tuple[Object | None, Object | None]]
    """Claim name -> the claim, and the volume that it is bound to."""


class References:
    """Reads for all pods of a node."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[Key, Object] = {}

    async def of(self, pod: Object) -> Named:
        """What the pod names."""
        namespace = pod["metadata"]["namespace"]
        found = {
            (kind, name): await self._get(KINDS[kind], name, namespace)
            for kind, name in sorted(set(named(pod)))
        }
        claims: dict[str, tuple[Object | None, Object | None]] = {}
        for name in claim_names(pod):
            claim = await self._get(CLAIMS, name, namespace)
            bound = None
            if claim is not None and claim.get("status", {}).get("phase") == "Bound":
                bound = await self._get(VOLUMES, claim["spec"]["volumeName"], "")
            claims[name] = (claim, bound)
        return Named(
            lambda kind, name: found.get((kind, name)), lambda name: claims.get(name, (None, None))
        )

    def keep_only(self, pods: Iterator[Object]) -> None:
        """Forget what no pod of the node names any more."""
        kept: set[tuple[Resource, str, str]] = set()
        for pod in pods:
            namespace = pod["metadata"]["namespace"]
            kept |= {(KINDS[kind], namespace, name) for kind, name in named(pod)}
            kept |= {(CLAIMS, namespace, name) for name in claim_names(pod)}
        for key in [each for each in self._known if each not in kept and each[0] != VOLUMES]:
            del self._known[key]

    async def _get(self, resource: Resource, name: str, namespace: str) -> Object | None:
        key = (resource, namespace, name)
        try:
            self._known[key] = await self._client.get(resource, name, namespace)
        except NotFound:
            self._known.pop(key, None)
        except (Unavailable, OSError):
            if key not in self._known:
                raise
        return self._known.get(key)


def claim_names(pod: Object) -> list[str]:
    """The PersistentVolumeClaims that a pod's volumes name."""
    return [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    ]


def pull_secrets(pod: Object) -> list[str]:
    """The Secrets that a pod's images are pulled with; validation lets empty names through."""
    return [each["name"] for each in pod["spec"].get("imagePullSecrets") or () if each.get("name")]


def named(pod: Object) -> Iterator[tuple[str, str]]:
    """(kind, name) of every ConfigMap and Secret in a pod's volumes and variables, and of those
    with which its images are pulled."""
    spec = pod["spec"]
    for name in pull_secrets(pod):
        yield "secret", name
    for volume in spec.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            if "configMap" in source:
                yield "configmap", source["configMap"]["name"]
            if "secret" in source:
                yield "secret", source["secret"].get("secretName") or source["secret"]["name"]
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        for source in container.get("envFrom") or ():
            if "configMapRef" in source:
                yield "configmap", source["configMapRef"]["name"]
            elif "secretRef" in source:
                yield "secret", source["secretRef"]["name"]
        for entry in container.get("env") or ():
            value = entry.get("valueFrom") or {}
            if "configMapKeyRef" in value:
                yield "configmap", value["configMapKeyRef"]["name"]
            elif "secretKeyRef" in value:
                yield "secret", value["secretKeyRef"]["name"]

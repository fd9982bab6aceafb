"""Turns a pod's volumes into paths of the host, made or brought up to date."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dockyard.base.errors import DockyardError, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.downward import Status
from dockyard.cluster.kubelet.environment import ConfigError
from dockyard.cluster.kubelet.references import Named
from dockyard.cluster.kubelet.volumes import memory
from dockyard.cluster.kubelet.volumes.content import files_of
from dockyard.cluster.kubelet.volumes.hostpath import host_path
from dockyard.cluster.kubelet.volumes.removal import remove_tree
from dockyard.cluster.kubelet.volumes.writer import write_files
from dockyard.cluster.meta import quantity

WRITTEN = ("configMap", "secret", "downwardAPI", "projected")
"""Volumes whose files change with the objects that they show."""


class MountFailed(DockyardError):
    """A volume can't be had; ``volume`` is its name."""

    def __init__(self, volume: str, why: Exception) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}')
        self.volume = volume


class Ready(NamedTuple):
    """A volume that containers may mount."""

    path: str
    readonly: bool = False


class PodVolumes:
    """The volumes of one pod. Synchronous: called in a thread."""

    def __init__(self, folder: Path, secrets_folder: Path, pod: Object) -> None:
        """``secrets_folder`` is in memory: what a Secret holds is never written to a disk."""
        self._folder, self._secrets = folder, secrets_folder
        self._pod = pod
        self._group = (pod["spec"].get("securityContext") or {}).get("fsGroup")

    def prepare(self, pod: Object, named: Named, status: Status) -> dict[str, Ready]:
        """Every volume by name. Raises MountFailed."""
        found = {}
        for volume in pod["spec"].get("volumes") or ():
            try:
                found[volume["name"]] = self._prepare(volume, pod, named, status)
            except (DockyardError, OSError) as error:
                raise MountFailed(volume["name"], error) from error
        return found

    def _prepare(self, volume: Object, pod: Object, named: Named, status: Status) -> Ready:
        if any(kind in volume for kind in WRITTEN):
            path = self._written(volume)
            write_files(path, files_of(volume, pod, named.lookup, status), self._group)
            return Ready(str(path), readonly=True)
        for kind, make in self._kinds().items():
            if kind in volume:
                return make(volume["name"], volume[kind] or {}, named)
        kind = next((key for key in volume if key != "name"), "nothing")
        raise Unsupported(f"volume {volume['name']}: {kind}: not implemented")

    def _kinds(self) -> dict[str, Callable[[str, Object, Named], Ready]]:
        return {
            "emptyDir": self._empty_dir,
            "hostPath": lambda name, source, named: Ready(host_path(source)),
            "persistentVolumeClaim": self._claim,
        }

    def _written(self, volume: Object) -> Path:
        secret = "secret" in volume or any(
            "secret" in source for source in (volume.get("projected") or {}).get("sources") or ()
        )
        return (self._secrets if secret else self._folder) / str(volume["name"])

    def _empty_dir(self, name: str, source: Object, named: Named) -> Ready:
        path, medium = self._folder / name, source.get("medium") or ""
        if medium == "Memory":
            memory.mount(path, quantity.whole(source.get("sizeLimit") or "0"))
        elif medium:
            raise Unsupported(f"volume {name}: emptyDir medium {medium}: not implemented")
        else:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.chmod(0o777)
        if self._group is not None:
            os.chown(path, -1, self._group)
            path.chmod(0o2777)
        return Ready(str(path))

    def _claim(self, name: str, source: Object, named: Named) -> Ready:
        claim, bound = named.claims(source["claimName"])
        if claim is None:
            raise ConfigError(f'persistentvolumeclaim "{source["claimName"]}" not found')
        if bound is None:
            raise ConfigError(f'persistentvolumeclaim "{source["claimName"]}" is not bound')
        spec = bound["spec"]
        readonly = bool(source.get("readOnly"))
        if "hostPath" in spec:
            return Ready(host_path(spec["hostPath"]), readonly)
        if "local" in spec:
            return Ready(host_path({**spec["local"], "type": "Directory"}), readonly)
        raise Unsupported(
            f"volume {name}: PersistentVolume {bound['metadata']['name']}: "
            "only hostPath and local are implemented"
        )

    def remove(self) -> None:
        """Remove what was made here. Paths of the host and claims are others'."""
        memory.unmount_below(self._folder)
        for folder in (self._folder, self._secrets):
            remove_tree(folder)

"""Turns a container of a pod into what the CRI is asked for. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dockyard.base.errors import Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.environment import ConfigError, expand
from dockyard.cluster.kubelet.plan import HASH, definition
from dockyard.cluster.kubelet.resources import resources
from dockyard.cluster.kubelet.security import security
from dockyard.cluster.kubelet.volumes.podvolumes import Ready
from dockyard.interfaces.cri import ContainerConfig, Mount


def container_config(
    pod: Object,
    spec: Object,
    attempt: int,
    environment: Mapping[str, str],
    volumes: Mapping[str, Ready],
    image_user: str,
    node_memory: int,
) -> ContainerConfig:
    """One attempt of one container. Raises ConfigError or Unsupported."""
    return ContainerConfig(
        name=spec["name"],
        attempt=attempt,
        image=spec["image"],
        command=tuple(expand(word, environment) for word in spec.get("command") or ()),
        args=tuple(expand(word, environment) for word in spec.get("args") or ()),
        working_dir=spec.get("workingDir", ""),
        envs=tuple(environment.items()),
        mounts=tuple(_mount(each, volumes, environment)
                     for each in spec.get("volumeMounts") or ()),
        log_path=f"{spec['name']}/{attempt}.log",
        stdin=bool(spec.get("stdin")),
        stdin_once=bool(spec.get("stdinOnce")),
        tty=bool(spec.get("tty")),
        resources=resources(pod, spec, node_memory),
        security=security(pod, spec, image_user),
        annotations={HASH: definition(spec)},
    )  # fmt: skip


def _mount(mount: Object, volumes: Mapping[str, Ready], environment: Mapping[str, str]) -> Mount:
    if mount.get("mountPropagation") not in (None, "None"):
        what = mount["mountPropagation"]
        raise Unsupported(f"volumeMounts: mountPropagation {what}: not implemented")
    sub_path = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        sub_path = expand(mount["subPathExpr"], environment)
        if "$(" in sub_path:
            raise ConfigError(f"failed to expand subPathExpr {mount['subPathExpr']!r}")
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise ConfigError(f"subPath {sub_path!r}: a path below the volume is meant")
    volume = volumes.get(mount["name"])
    if volume is None:
        raise ConfigError(f'volume "{mount["name"]}" is not there')
    return Mount(
        os.path.normpath(mount["mountPath"]),
        volume.path,
        bool(mount.get("readOnly")) or volume.readonly,
        sub_path,
    )

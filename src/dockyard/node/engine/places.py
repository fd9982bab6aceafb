"""Turns a container's id into the paths that belong to it."""

from __future__ import annotations

import os

from dockyard.base.oci.instance import instance_id, run_path


class Places:
    """Paths of one data root. Making one touches nothing."""

    def __init__(self, data_root: str) -> None:
        self.data_root = data_root
        self.instance = instance_id(data_root)
        self._run_dir = ""

    @property
    def containers(self) -> str:
        """The folder of all containers' folders."""
        return os.path.join(self.data_root, "containers")

    def state(self, container_id: str) -> str:
        """Its folder: configuration, upper layer, log, exit. Removed with it."""
        return os.path.join(self.containers, container_id)

    def upper(self, container_id: str) -> str:
        """What it has changed of its root."""
        return os.path.join(self.state(container_id), "upper")

    def root(self, container_id: str) -> str:
        """Where its root is mounted: for itself, or for all where it has no mount namespace."""
        return os.path.join(self.state(container_id), "rootfs")

    @property
    def run_root(self) -> str:
        """The folder of sockets and locks; made by the first who asks."""
        if not self._run_dir:
            self._run_dir = run_path(self.data_root)
        return self._run_dir

    def run(self, container_id: str) -> str:
        """Its sockets; unix(7) paths are short, so the id is cut."""
        return os.path.join(self.run_root, container_id[:24])

    def cgroup(self, container_id: str, parent: str = "") -> str:
        """Its control group, below each controller."""
        above = parent.strip("/") or f"dockyard/{self.instance}"
        return f"{above}/{container_id}"

    def log(self, container_id: str) -> str:
        """Its log, where nobody named another."""
        return os.path.join(self.state(container_id), f"{container_id}-json.log")

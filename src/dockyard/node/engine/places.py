"""Turns a container's id into the paths that belong to it."""

from __future__ import annotations

import os

from dockyard.base.oci.instance import instance_id, run_dir


class Places:
    """Paths of one data root. Making one touches nothing."""

    def __init__(self, data_root: str) -> None:
        self.data_root = data_root
        self.instance = instance_id(data_root)

    def state(self, container_id: str) -> str:
        """Its folder: configuration, upper layer, log, exit. Removed with it."""
        return os.path.join(self.data_root, "containers", container_id)

    def run(self, container_id: str) -> str:
        """Its sockets; unix(7) paths are short, so the id is cut."""
        return os.path.join(run_dir(self.data_root), container_id[:24])

    def cgroup(self, container_id: str) -> str:
        """Its control group, below each controller."""
        return f"dockyard/{self.instance}/{container_id}"

    def log(self, container_id: str) -> str:
        """Its log, where nobody named another."""
        return os.path.join(self.state(container_id), f"{container_id}-json.log")

    @property
    def cache(self) -> str:
        """Compiled seccomp filters."""
        return os.path.join(self.data_root, "cache")

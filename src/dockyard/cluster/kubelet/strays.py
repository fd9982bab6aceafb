"""Turns folders of pods that nobody knows any more into nothing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from dockyard.cluster.kubelet.volumes.memory import unmount_below
from dockyard.cluster.kubelet.volumes.removal import remove_tree


def remove(pods: Path, memory: Path, known: AbstractSet[str]) -> None:
    """Logs, volumes and secrets of all pods but those whose uids are known."""
    volumes = pods / "volumes"
    for folder in (*_entries(volumes), *_entries(memory)):
        if folder.name not in known:
            unmount_below(folder)
            remove_tree(folder)
    for folder in _entries(pods):
        uid = folder.name.rpartition("_")[2]
        if folder != volumes and "_" in folder.name and uid not in known:
            remove_tree(folder)


def _entries(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []

"""Turns folders of pods that nobody knows any more into nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dockyard.cluster.kubelet.volumes.memory import unmount_below
from dockyard.cluster.kubelet.volumes.removal import remove_tree


def find(pods: Path, memory: Path) -> list[tuple[Path, str]]:
    """Folders of logs, volumes and secrets, each with the uid of its pod."""
    volumes = pods / "volumes"
    found = [(folder, folder.name) for folder in (*_entries(volumes), *_entries(memory))]
    found += [(folder, folder.name.rpartition("_")[2]) for folder in _entries(pods)
              if folder != volumes and "_" in folder.name]  # fmt: skip
    return found


def remove(folders: Iterable[Path]) -> None:
    """Folders whose pods are gone. Synchronous: called in a thread."""
    for folder in folders:
        unmount_below(folder)
        remove_tree(folder)


def _entries(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []

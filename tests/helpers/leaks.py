"""Shared helpers of negative tests: a leak baseline, a canary tree, a planted secret."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dockyard.boot import leftovers


def nft_tables() -> list[str]:
    """Names of all nftables tables, as the real `nft` lists them."""
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in done.stdout.splitlines()]


def left_behind(data_root: Path) -> list[str]:
    """What the kernel still holds of an instance, its files apart."""
    places = leftovers.look(data_root, nft_tables)
    return [
        f"{place.name}: {thing}"
        for place in places
        if place.name != "files"
        for thing in place.ours
    ]


def tree_hash(root: Path) -> str:
    """A digest of every name, mode, owner, link and byte below a folder: a canary's state."""
    state = hashlib.sha256()
    for line in _entries(root):
        state.update(line)
    return state.hexdigest()


def _entries(root: Path) -> Iterator[bytes]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder) / name
            found = path.lstat()
            yield f"{path}\0{found.st_mode:o}\0{found.st_uid}\0{found.st_gid}\n".encode()
            if path.is_symlink():
                yield os.fsencode(path.readlink())
            elif path.is_file():
                yield hashlib.sha256(path.read_bytes()).digest()


def files_with(secret: bytes, *roots: Path) -> list[Path]:
    """Files below the folders that hold the secret."""
    return [
        path
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and secret in path.read_bytes()
    ]

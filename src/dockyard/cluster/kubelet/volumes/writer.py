"""Turns a set of files into a folder that readers see change at once, never half.

As the field does it (kubernetes' AtomicWriter): the files are in a folder with a fresh name, a link
``..data`` points to it and is swapped, and what a container opens are links through ``..data``.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from dockyard.cluster.kubelet.volumes.content import File, Files

DATA, FRESH_DATA = "..data", "..data_tmp"


def write_files(folder: Path, files: Files, group: int | None = None) -> bool:
    """Bring the folder up to date; whether anything was different.

    ``group``: the pod's fsGroup, which owns the files and may read them.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755 if group is None else 0o2775)
    link = folder / DATA
    wanted = {path: _shared(file, group) for path, file in files.items()}
    current = folder / link.readlink() if link.is_symlink() else None
    if current is not None and current.is_dir() and read_files(current) == wanted:
        _publish(folder, wanted)  # a crash may have come between the swap and this
        return False
    fresh = folder / f"..{secrets.token_hex(8)}"
    _write(fresh, wanted, group)
    swap = folder / FRESH_DATA
    swap.unlink(missing_ok=True)
    swap.symlink_to(fresh.name)
    swap.replace(link)
    _publish(folder, wanted)
    for entry in folder.iterdir():
        if entry.name.startswith("..") and not entry.is_symlink() and entry != fresh:
            shutil.rmtree(entry)
    return True


def _shared(file: File, group: int | None) -> File:
    return file if group is None else file._replace(mode=file.mode | 0o440)


def _write(folder: Path, files: Files, group: int | None) -> None:
    folder.mkdir(mode=0o755)
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.data)
            if group is not None:
                os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, file.mode)


def _publish(folder: Path, files: Files) -> None:
    """A link for each first part of a path, and none for what is gone."""
    tops = {name.split("/")[0] for name in files}
    for name in tops:
        visible = folder / name
        if not visible.is_symlink():
            visible.symlink_to(f"{DATA}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()


def read_files(folder: Path) -> dict[str, File]:
    """The files below a folder, with their modes."""
    return {
        str(path.relative_to(folder)): File(path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in folder.rglob("*")
        if path.is_file()
    }

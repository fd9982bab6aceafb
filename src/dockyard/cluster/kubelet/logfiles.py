"""Turns a container's attempts into the files that hold their output."""

from __future__ import annotations

from pathlib import Path


def attempt(folder: Path, *, previous: bool) -> Path | None:
    """The newest log of a container, or the one before; never through a link (F24)."""
    if not folder.is_dir() or folder.is_symlink():
        return None
    logs = sorted(
        (path for path in folder.glob("*.log") if path.stem.isdecimal() and not path.is_symlink()),
        key=lambda path: int(path.stem),
    )
    index = -2 if previous else -1
    return logs[index] if len(logs) >= -index else None


def remove(path: str) -> None:
    """One attempt's log, and what was rotated away from it."""
    if not path:
        return
    log = Path(path)
    for each in (log, *log.parent.glob(f"{log.name}.*")):
        each.unlink(missing_ok=True)

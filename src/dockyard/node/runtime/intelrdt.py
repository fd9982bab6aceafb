"""Turns ``linux.intelRdt`` into a folder of resctrl with this process in it (config-linux.md)."""

from __future__ import annotations

import contextlib
import os

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.base.linux import mounttable
from dockyard.base.oci.intelrdt import IntelRdt


def mounted() -> str:
    """Where resctrl is."""
    for row in mounttable.read():
        if row.kind == "resctrl":
            return row.point
    raise Unsupported("config: linux.intelRdt: no resctrl is mounted; this machine has none")


def enter(wanted: IntelRdt, container: str, base: str) -> None:
    """Put this process there; what is missing is made."""
    folder = _folder(wanted, container, base)
    exists = os.path.isdir(folder)
    if wanted.group and not wanted.lines and not exists:
        raise Invalid(f"config: linux.intelRdt.closID: {wanted.group}: there is no such folder")
    if wanted.group and wanted.lines and exists:
        _compare(wanted, folder)
    elif wanted.lines or not wanted.group:
        os.makedirs(folder, 0o755, exist_ok=True)
        for line in wanted.lines:
            _write(f"{folder}/schemata", line)
    _write(f"{folder}/tasks", "0")
    if wanted.monitored:
        group = f"{folder}/mon_groups/{container}"
        os.makedirs(group, 0o755, exist_ok=True)
        _write(f"{group}/tasks", "0")


def leave(wanted: IntelRdt, container: str, base: str) -> None:
    """Remove what :func:`enter` has made for this container alone."""
    folder = _folder(wanted, container, base)
    with contextlib.suppress(FileNotFoundError):
        if wanted.monitored:
            os.rmdir(f"{folder}/mon_groups/{container}")
    with contextlib.suppress(FileNotFoundError):
        if not wanted.group:
            os.rmdir(folder)


def _folder(wanted: IntelRdt, container: str, base: str) -> str:
    return base if wanted.group == "/" else f"{base}/{wanted.group or container}"


def _compare(wanted: IntelRdt, folder: str) -> None:
    with open(f"{folder}/schemata") as file:
        there = {line.strip() for line in file}
    for line in wanted.lines:
        if line not in there:
            raise Conflict(
                f"config: linux.intelRdt: {folder}/schemata: {line!r} is not what it has"
            )


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{text}\n".encode())
    except OSError as error:
        raise type(error)(error.errno, f"{path}: {text!r}: {error.strerror}") from error
    finally:
        os.close(descriptor)

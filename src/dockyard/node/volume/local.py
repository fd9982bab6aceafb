"""Turns volume names into directories below the data root."""

from __future__ import annotations

import os
import re
import shutil
from typing import NamedTuple

from dockyard.base.errors import Invalid, NotFound

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
ANONYMOUS = re.compile(r"[0-9a-f]{64}")


class Volume(NamedTuple):
    """A named volume."""

    name: str
    path: str
    created: float


class LocalVolumes:
    """The volumes of one data root: ``volumes/<name>/_data``."""

    def __init__(self, data_root: str) -> None:
        self._folder = os.path.join(data_root, "volumes")

    def create(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise Invalid(
                f'"{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                "directory, use absolute path"
            )
        os.makedirs(self.path(name), 0o755, exist_ok=True)

    def path(self, name: str) -> str:
        return os.path.join(self._folder, name, "_data")

    def is_anonymous(self, name: str) -> bool:
        return ANONYMOUS.fullmatch(name) is not None

    def list(self) -> list[Volume]:
        """Every volume, by name."""
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        paths = [(name, self.path(name)) for name in names]
        return [Volume(name, path, os.stat(path).st_ctime) for name, path in paths]

    def remove(self, name: str) -> None:
        if not NAME.fullmatch(name) or not os.path.isdir(self.path(name)):
            raise NotFound(f"get {name}: no such volume")
        shutil.rmtree(os.path.join(self._folder, name))

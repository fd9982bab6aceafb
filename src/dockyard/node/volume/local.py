"""Turns volume names into directories below the data root: ``volumes/<name>/_data``."""

from __future__ import annotations

import fcntl
import os

from dockyard.base import contexts
from dockyard.base.errors import Invalid, NotFound
from dockyard.base.pattern import Pattern
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


NAME = Pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
GOING = "."
"""What is being removed has a name that no volume may have."""
FILLING = "_filling"


class Volume(NamedTuple):
    """A volume of this node."""

    name: str
    path: str
    created: float


Volumes = list[Volume]


class LocalVolumes:
    """The volumes of one data root. Each change is a rename, or under the folder's lock."""

    def __init__(self, data_root: str) -> None:
        self._folder = os.path.join(data_root, "volumes")

    def create(self, name: str) -> Volume:
        """Make a volume; one that is there is fine."""
        if not NAME.fullmatch(name):
            raise Invalid(
                f'"{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                "directory, use absolute path"
            )
        if not os.path.isdir(self.path(name)):
            os.makedirs(self._folder, 0o700, exist_ok=True)  # its files are no host users'
            with self._locked():
                os.makedirs(self.path(name), exist_ok=True)
                os.chmod(self.path(name), 0o755)  # noqa: S103 - whatever our umask is
        return self.find(name)

    def path(self, name: str) -> str:
        """Where its files are."""
        return os.path.join(self._folder, name, "_data")

    def find(self, name: str) -> Volume:
        """Raises :class:`NotFound`."""
        if NAME.fullmatch(name):
            with contexts.suppress(FileNotFoundError):
                found = os.stat(os.path.join(self._folder, name))
                return Volume(name, self.path(name), found.st_mtime)
        raise NotFound(f"get {name}: no such volume")

    def list(self) -> Volumes:
        """Every volume, by name."""
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        found = []
        for name in filter(NAME.fullmatch, names):
            with contexts.suppress(NotFound):
                found.append(self.find(name))
        return found

    def populate(self, name: str, layers: Sequence[str], path: str) -> None:
        """Fill an empty volume with what an image's layers have at a path, as Docker does.

        ``layers`` topmost first.
        """
        if os.listdir(self.path(name)):
            return
        from dockyard.node.volume.populate import populate

        with self._locked(name):
            if os.listdir(self.path(name)):
                return
            # filled aside, so that a crash leaves the volume empty, and then put in its place
            aside = os.path.join(self._folder, name, FILLING)
            _remove(aside)
            os.mkdir(aside)
            if populate(aside, layers, path):
                os.rename(aside, self.path(name))
            else:
                os.rmdir(aside)

    def remove(self, name: str) -> None:
        """Remove a volume with its files; :class:`NotFound` for an unknown one."""
        self.find(name)
        with self._locked():
            for stray in os.listdir(self._folder):  # of a removal that was cut off
                if stray.startswith(GOING):
                    _remove(os.path.join(self._folder, stray))
            gone = os.path.join(self._folder, f"{GOING}{name}")
            with contexts.suppress(FileNotFoundError):
                os.rename(os.path.join(self._folder, name), gone)
            _remove(gone)

    @contexts.contextmanager
    def _locked(self, name: str = "") -> Iterator[None]:
        """One change at a time, of a volume or of them all; over all processes."""
        folder = os.path.join(self._folder, name)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _remove(folder: str) -> None:
    from shutil import rmtree  # it loads every compressor: not for those who only start

    with contexts.suppress(FileNotFoundError):
        rmtree(folder)

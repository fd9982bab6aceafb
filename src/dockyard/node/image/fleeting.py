"""Turns the use of an image by a container that vanishes with its end into a file, and back.

It need not outlast a loss of power, as the container does not: nobody waits for the disk. A file
names the image's manifest and the boot of the machine in which it counts.
"""

from __future__ import annotations

import os

from dockyard.base import contexts

BOOT = "/proc/sys/kernel/random/boot_id"


class Fleeting:
    """The leases of one store that are files. Writers of the index are kept out by its lock."""

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "fleeting")

    def take(self, manifest: str, holder: str) -> None:
        """Before it is checked that the image is (still) there."""
        os.makedirs(self._folder, 0o700, exist_ok=True)
        how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fresh = os.open(os.path.join(self._folder, holder), how, 0o600)
        try:
            os.write(fresh, f"{_boot()} {manifest}".encode())
        finally:
            os.close(fresh)

    def drop(self, holder: str) -> bool:
        """Whether there was one."""
        try:
            os.unlink(os.path.join(self._folder, holder))
        except FileNotFoundError:
            return False
        return True

    def holders(self) -> dict[str, str]:
        """Holder -> manifest. Under the index's lock: who has written no manifest yet waits for
        that lock, and finds what is gone. What is of another boot is removed."""
        found, boot = {}, _boot()
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return {}
        for name in names:
            path = os.path.join(self._folder, name)
            with contexts.suppress(FileNotFoundError):
                with open(path, encoding="utf-8", errors="replace") as file:
                    born, _, manifest = file.read().partition(" ")
                if born == boot:
                    found[name] = manifest
                elif born:
                    os.unlink(path)
        return found


def _boot() -> str:
    with open(BOOT, encoding="utf-8") as file:
        return file.read().strip()

"""Turns platform text and objects into a checked :class:`Platform`, and picks one of several.

OCI image-spec, image-index.md, "platform"; text form ``os/architecture[/variant]`` as Docker's.
"""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CHARACTERS = frozenset(f"{_LETTERS}{_LETTERS.upper()}0123456789_.-")
_LONGEST = 64
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "i686": ("386", ""),
}


class WindowsImage(Unsupported):
    """An image for ``windows``, which is never started."""


class Platform(NamedTuple):
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def runs(self, other: Platform) -> bool:
        """Whether an image for ``other`` runs here; an unsaid variant is any variant."""
        same = (self.os, self.architecture) == (other.os, other.architecture)
        if self.architecture == "arm64":
            return same and {self.variant, other.variant} <= {"", "v8"}
        return same and (not other.variant or not self.variant or other.variant == self.variant)

    def to_json(self) -> dict[str, str]:
        found = {"architecture": self.architecture, "os": self.os}
        return found | {"variant": self.variant} if self.variant else found


def host_platform() -> Platform:
    """This machine's."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def parse_platform(text: str) -> Platform:
    """``linux/amd64``, ``linux/arm64/v8`` or ``arm64``; :class:`Invalid` otherwise."""
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(map(_is_word, parts)):
        raise Invalid(f"platform: {text[:80]!r}: os/architecture[/variant] is expected")
    return Platform("linux", text) if len(parts) == 1 else Platform(*parts)


def _is_word(text: str) -> bool:
    return 1 <= len(text) <= _LONGEST and _CHARACTERS.issuperset(text)


def platform_from_json(value: Any, what: str) -> Platform:
    """The ``platform`` object of a descriptor, or the same fields of an image's configuration."""
    if not isinstance(value, dict):
        raise Invalid(f"{what}: platform is an object")
    words = [value.get(key, "") for key in ("os", "architecture", "variant")]
    for word in words:
        if not isinstance(word, str) or (word and not _is_word(word)):
            raise Invalid(f"{what}: platform: {str(word)[:80]!r} is no platform's name")
    return Platform(*words)


def refuse_windows(platform: Platform, what: str) -> None:
    """Windows containers are refused by name (docs: what is not built)."""
    if platform.os == "windows":
        raise WindowsImage(f"{what}: {platform}: an image for windows does not run here; use linux")

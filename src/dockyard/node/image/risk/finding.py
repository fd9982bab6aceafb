"""Turns what was seen in an image into values that a table, JSON and SPDX are made of."""

from typing import NamedTuple

SETUID, SETGID, CAPABILITY, WRITABLE, DEVICE, SECRET = (
    "setuid", "setgid", "capability", "world-writable", "device", "secret",
)  # fmt: skip
CONFIG = "configuration"
"""Where something was found that is in no file."""


class Finding(NamedTuple):
    """One thing worth a look. A secret itself is never in it."""

    kind: str
    path: str
    """Absolute; or ``env NAME``, ``history 3``."""
    layer: str
    """The digest of the layer (its blob), or ``configuration``."""
    detail: str
    hidden: bool = False
    """A layer above deletes or replaces it; whoever has the image has it all the same."""


class Package(NamedTuple):
    """What a distribution's database says is installed."""

    kind: str
    """``deb``, ``apk`` or ``rpm``: the type of its package URL."""
    name: str
    version: str
    architecture: str = ""
    license: str = ""
    """As the package says it: often no SPDX expression."""
    supplier: str = ""
    source: str = ""


class Distribution(NamedTuple):
    """os-release(5)."""

    id: str = ""
    version: str = ""
    name: str = ""


class Report(NamedTuple):
    """All of it."""

    user: str
    """``USER`` as the image has it; empty: none."""
    uid: int | None
    """None where the image itself doesn't say which."""
    findings: tuple[Finding, ...]
    distribution: Distribution
    packages: tuple[Package, ...]
    wanted: tuple[str, ...]
    """Capabilities that the image's files or label ask for, ``CAP_NET_RAW``."""
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    notes: tuple[str, ...]
    """What could not be looked at, and why."""

    @property
    def root(self) -> bool:
        return self.uid == 0

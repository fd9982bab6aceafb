"""Turns dpkg's ``status`` file into packages (deb822(5); dpkg-query(1), "status")."""

import io
from collections.abc import Iterator

from dockyard.node.image.risk.finding import Package

_MOST_FIELDS = 200


def paragraphs(data: bytes, colon: str = ":") -> Iterator[dict[str, str]]:
    """Blocks of ``Key: value`` lines between empty ones; continuation lines are left out."""
    found: dict[str, str] = {}
    for line in io.TextIOWrapper(io.BytesIO(data), "utf-8", "replace"):
        if not line.strip():
            if found:
                yield found
            found = {}
        elif not line[0].isspace():
            key, sign, value = line.partition(colon)
            if sign and len(found) < _MOST_FIELDS:
                found.setdefault(key, value.strip())
    if found:
        yield found


def packages(data: bytes, where: str) -> Iterator[Package]:
    """What is unpacked or installed; a package of which only configuration is left is not."""
    for fields in paragraphs(data):
        state = fields.get("Status", "install ok installed").split()
        if "Package" not in fields or state[-1:] in (["config-files"], ["not-installed"]):
            continue
        yield Package(
            "deb",
            fields["Package"],
            fields.get("Version", ""),
            fields.get("Architecture", ""),
            supplier=fields.get("Maintainer", ""),
            source=fields.get("Source", "").partition(" ")[0],
        )

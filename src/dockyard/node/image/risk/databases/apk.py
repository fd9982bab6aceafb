"""Turns apk's ``installed`` file into packages (Alpine's "Apk spec", installed database)."""

from collections.abc import Iterator

from dockyard.node.image.risk.databases.dpkg import paragraphs
from dockyard.node.image.risk.finding import Package


def packages(data: bytes, where: str) -> Iterator[Package]:
    for fields in paragraphs(data):
        if "P" in fields:
            yield Package(
                "apk",
                fields["P"],
                fields.get("V", ""),
                fields.get("A", ""),
                fields.get("L", ""),
                fields.get("m", ""),
                fields.get("o", ""),
            )

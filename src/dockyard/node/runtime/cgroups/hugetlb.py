"""Turns ``resources.hugepageLimits`` into the hugetlb controller's files."""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.pattern import Pattern
from dockyard.node.runtime.cgroups.controller import Write, entries, needed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


_SIZE = Pattern(r"[1-9]\d{0,5}[KMG]B")


class Hugetlb:
    """hugetlb: bytes of huge pages of each size that are used, and that are reserved."""

    name = in_v2 = "hugetlb"
    member = "hugepageLimits"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        yield from _writes(resources, now, "limit_in_bytes")

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        yield from _writes(resources, now, "max")


def _writes(resources: Mapping[str, Any], now: Now, ending: str) -> Iterator[Write]:
    for index, entry in enumerate(entries(resources, "hugepageLimits", "hugepageLimits")):
        where = f"hugepageLimits[{index}]"
        size = entry.get("pageSize")
        if not isinstance(size, str) or not _SIZE.fullmatch(size):
            raise Invalid(f"config: linux.resources.{where}.pageSize: {size!r}: not like 2MB")
        limit = str(needed(entry, "limit", where, 0, 2**64 - 1))
        if now(f"hugetlb.{size}.{ending}") is None:
            raise Unsupported(
                f"config: linux.resources.{where}.pageSize: {size}: this machine has no such pages"
            )
        yield f"hugetlb.{size}.{ending}", limit
        if now(f"hugetlb.{size}.rsvd.{ending}") is not None:  # Linux 5.7
            yield f"hugetlb.{size}.rsvd.{ending}", limit

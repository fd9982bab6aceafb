"""Turns ``resources.rdma`` into the rdma controller's file."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.pattern import Pattern
from dockyard.node.runtime.cgroups.controller import Write, number, section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


_DEVICE = Pattern(r"[A-Za-z0-9_.-]{1,64}")


class Rdma:
    """rdma (cgroup-v1/rdma.rst of the kernel): handles and objects of each device."""

    name = in_v2 = member = "rdma"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        for device, limits in section(resources, "rdma").items():
            if not isinstance(limits, dict) or not _DEVICE.fullmatch(device):
                raise Invalid(
                    f"config: linux.resources.rdma: {device[:80]!r}: not a device's limits"
                )
            words = [
                f"{word}={value}"
                for member, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object"))
                if (value := number(limits, member, f"rdma.{device}", 0, 2**32 - 1)) is not None
            ]
            if words:
                yield "rdma.max", " ".join([device, *words])

    v2 = v1

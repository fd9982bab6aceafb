"""Turns ``resources.blockIO`` into the files of blkio (version 1) and io (version 2)."""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.runtime.cgroups.controller import (
    Write,
    entries,
    needed,
    number,
    only_v1,
    section,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


LEAST, MOST = 10, 1000
"""Weights (config-linux.md)."""
THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
)
"""Field, file of version 1, word of version 2's io.max."""


class Blkio:
    """blkio of version 1, io of version 2; weights need the BFQ scheduler (or CFQ, or io.cost)."""

    name, in_v2, member = "blkio", "io", "blockIO"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        block = section(resources, "blockIO")
        if not block:
            return
        prefix = "blkio.bfq" if now("blkio.bfq.weight") is not None else "blkio"
        if weight := _weight(block, "weight", "blockIO"):
            yield _there(f"{prefix}.weight", "weight", now), str(weight)
        if leaf := _weight(block, "leafWeight", "blockIO"):
            yield _there("blkio.leaf_weight", "leafWeight", now), str(leaf)
        for device, where in _devices(block, "weightDevice"):
            if weight := _weight(device, "weight", where):
                file = _there(f"{prefix}.weight_device", "weightDevice", now)
                yield file, f"{_numbers(device, where)} {weight}"
            if leaf := _weight(device, "leafWeight", where):
                file = _there("blkio.leaf_weight_device", "weightDevice.leafWeight", now)
                yield file, f"{_numbers(device, where)} {leaf}"
        for field, file, _ in THROTTLES:
            for device, where in _devices(block, field):
                yield file, f"{_numbers(device, where)} {needed(device, 'rate', where, 0)}"

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        block = section(resources, "blockIO")
        if not block:
            return
        if _weight(block, "leafWeight", "blockIO"):
            raise only_v1("blockIO.leafWeight")
        bfq = now("io.bfq.weight") is not None
        file = "io.bfq.weight" if bfq else "io.weight"
        if weight := _weight(block, "weight", "blockIO"):
            yield _there(file, "weight", now), f"default {weight if bfq else wide(weight)}"
        for device, where in _devices(block, "weightDevice"):
            if _weight(device, "leafWeight", where):
                raise only_v1("blockIO.weightDevice.leafWeight")
            if weight := _weight(device, "weight", where):
                value = weight if bfq else wide(weight)
                yield _there(file, "weightDevice", now), f"{_numbers(device, where)} {value}"
        for field, _, word in THROTTLES:
            for device, where in _devices(block, field):
                rate = needed(device, "rate", where, 0)
                yield "io.max", f"{_numbers(device, where)} {word}={rate or 'max'}"


def wide(weight: int) -> int:
    """io.weight (1 to 10000) of a weight of version 1 (10 to 1000), as runc has it."""
    return 1 + (weight - LEAST) * 9999 // (MOST - LEAST)


def _weight(values: Mapping[str, Any], name: str, where: str) -> int | None:
    """0 is no weight, as with runc."""
    weight = number(values, name, where, 0, MOST)
    if weight and weight < LEAST:
        raise Invalid(
            f"config: linux.resources.{where}.{name}: {weight}: not between {LEAST} and {MOST}"
        )
    return weight


def _devices(block: Mapping[str, Any], field: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for index, device in enumerate(entries(block, field, f"blockIO.{field}")):
        yield device, f"blockIO.{field}[{index}]"


def _numbers(device: Mapping[str, Any], where: str) -> str:
    major, minor = (needed(device, name, where, 0, 2**32 - 1) for name in ("major", "minor"))
    return f"{major}:{minor}"


def _there(file: str, field: str, now: Now) -> str:
    if now(file) is None:
        raise Unsupported(
            f"config: linux.resources.blockIO.{field}: this kernel has no {file}: its I/O scheduler"
            " (BFQ) has no weights"
        )
    return file

"""Turns the flags that ``run``, ``create`` and ``update`` share into limits, by Docker's rules."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid
from dockyard.cli.common import WrongArgument, size
from dockyard.node.engine.config import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from dockyard.cli.common import Parser

SMALLEST_MEMORY = 6 * 1024 * 1024
"""Docker's: less does not start a program."""
MEMBERS = {
    "memory": "memory", "memory_swap": "memory_swap", "memory_reservation": "memory_reservation",
    "cpus": "nano_cpus", "cpu_shares": "cpu_shares", "cpu_period": "cpu_period",
    "cpu_quota": "cpu_quota", "cpuset_cpus": "cpuset", "cpuset_mems": "cpuset_mems",
    "pids_limit": "pids", "blkio_weight": "blkio_weight", "cpu_rt_period": "cpu_rt_period",
    "cpu_rt_runtime": "cpu_rt_runtime",
}  # fmt: skip
"""Each flag's member of :class:`Resources`."""


def add(parser: Parser) -> None:
    """The flags; one that was not given is None."""
    add = parser.add_argument
    add("-m", "--memory", metavar="BYTES", help="memory, at most: 64m, 1g")
    add("--memory-swap", metavar="BYTES", help="memory and swap together; -1: any")
    add("--memory-reservation", metavar="BYTES", help="memory under pressure")
    add("--cpus", metavar="N", help="processors, at most: 1.5")
    add("-c", "--cpu-shares", type=int, metavar="N", help="weight among containers")
    add("--cpu-period", type=int, metavar="US", help="of the scheduler's quota")
    add("--cpu-quota", type=int, metavar="US", help="in each period")
    add("--cpu-rt-period", type=int, metavar="US", help="of real-time scheduling")
    add("--cpu-rt-runtime", type=int, metavar="US", help="in each such period")
    add("--cpuset-cpus", metavar="0-1", help="which processors")
    add("--cpuset-mems", metavar="0", help="which memory nodes")
    add("--pids-limit", type=int, metavar="N", help="processes, at most; -1: any")
    add("--blkio-weight", type=int, metavar="N", help="weight at block devices, 10 to 1000")


def resources(options: argparse.Namespace) -> Resources:
    """The limits that the flags say. Raises :class:`Invalid`."""
    if options.cpus and (options.cpu_period or options.cpu_quota):
        other = "Quota" if options.cpu_quota else "Period"
        raise Invalid(f"Conflicting options: Nano CPUs and CPU {other} cannot both be set")
    _check_processors(options)
    memory = size(options.memory, "-m, --memory") if options.memory else 0
    if options.memory and memory < SMALLEST_MEMORY:
        raise Invalid("Minimum memory limit allowed is 6MB")
    swap = 0
    if options.memory_swap:
        swap = _swap(options.memory_swap)
        if memory and 0 <= swap < memory:
            raise Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
    asked = options.memory_reservation
    reservation = size(asked, "--memory-reservation") if asked else 0
    if memory and reservation > memory:
        raise Invalid("Minimum memory limit can not be less than memory reservation limit, see "
                      "usage")  # fmt: skip
    if (options.cpu_rt_runtime or 0) > (options.cpu_rt_period or 10**9):
        raise Invalid("cpu real-time runtime cannot be higher than cpu real-time period")
    weight = options.blkio_weight or 0
    if weight and not 10 <= weight <= 1000:
        raise Invalid("Range of blkio weight is from 10 to 1000")
    return Resources(
        memory=memory,
        memory_swap=swap,
        memory_reservation=reservation,
        nano_cpus=_nano_cpus(options.cpus),
        cpu_shares=options.cpu_shares or 0,
        cpu_period=options.cpu_period or 0,
        cpu_quota=options.cpu_quota or 0,
        cpuset=options.cpuset_cpus or "",
        cpuset_mems=options.cpuset_mems or "",
        pids=max(options.pids_limit or 0, -1),
        cpu_rt_period=options.cpu_rt_period or 0,
        cpu_rt_runtime=options.cpu_rt_runtime or 0,
        blkio_weight=weight,
    )


def _swap(text: str) -> int:
    return -1 if text == "-1" else size(text, "--memory-swap")


def _check_processors(options: argparse.Namespace) -> None:
    """Docker's bounds: what the kernel would refuse too, said before anything is made."""
    if options.cpu_period and not 1000 <= options.cpu_period <= 1_000_000:
        raise Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s "
                      "(i.e. 1000000)")  # fmt: skip
    if options.cpu_quota and 0 < options.cpu_quota < 1000:
        raise Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if (options.cpu_shares or 0) < 0:
        raise Invalid(f"invalid CPU shares ({options.cpu_shares}): value must be a positive "
                      "integer")  # fmt: skip
    for what, text, file in (
        ("cpus", options.cpuset_cpus, "/sys/devices/system/cpu/online"),
        ("mems", options.cpuset_mems, "/sys/devices/system/node/online"),
    ):
        if text:
            _check_set(what, text, file)


def _check_set(what: str, text: str, file: str) -> None:
    from dockyard.base.oci.numbersets import members

    wanted = members(text)
    if wanted is None:
        raise Invalid(f"Invalid value {text} for cpuset {what}: invalid format: {text}")
    try:
        with open(file) as lines:
            online = lines.read().strip()
    except FileNotFoundError:  # a kernel without memory nodes has one
        online = "0"
    if wanted - (members(online) or set()):
        named = "CPUs" if what == "cpus" else "memory nodes"
        raise Invalid(f"Requested {named} are not available - requested {text}, available: "
                      f"{online}")  # fmt: skip


def _nano_cpus(text: str | None) -> int:
    if not text:
        return 0
    most = os.cpu_count() or 1
    try:
        found = int(float(text) * 1_000_000_000)
    except (ValueError, OverflowError):
        raise WrongArgument(f'invalid argument "{text}" for "--cpus" flag: failed to parse '
                            f"{text} as a rational number") from None  # fmt: skip
    if not 10_000_000 <= found <= most * 1_000_000_000:
        raise Invalid(f"Range of CPUs is from 0.01 to {most}.00, as there are only {most} CPUs "
                      "available")  # fmt: skip
    return found

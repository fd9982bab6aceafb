"""`update`: writes other limits to a container's control group."""

from __future__ import annotations

import json
import sys
from typing import Any

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb

LARGEST = 1024 * 1024
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
SIZES = {
    "memory": "limit", "memory-reservation": "reservation", "memory-swap": "swap",
    "kernel-memory": "kernel", "kernel-memory-tcp": "kernelTCP",
}  # fmt: skip
NUMBERS = {
    "cpu-period": "period", "cpu-quota": "quota", "cpu-share": "shares", "cpu-burst": "burst",
    "cpu-rt-period": "realtimePeriod", "cpu-rt-runtime": "realtimeRuntime", "cpu-idle": "idle",
}  # fmt: skip
TEXTS = {"cpuset-cpus": "cpus", "cpuset-mems": "mems"}
OPTIONAL = {"burst", "idle", "quota"}
"""Where 0 is a value and not "leave it"."""


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Write them, and remember them."""
    made = state.load(found.root, arguments[0])
    if state.status(found.root, made) in ("stopped", "creating"):
        raise Conflict(f"{made.id}: container not running")
    if values["l3-cache-schema"] or values["mem-bw-schema"]:
        raise Unsupported("update: Intel RDT: not implemented; it is set when a container is made")
    wanted = read(values["resources"]) if values["resources"] else chosen(values)
    if not wanted:
        return 0
    before = made.spec["linux"].get("resources") or {}
    _write(made, with_period(wanted, before))
    after = {**before, **wanted}
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            after[name] = {**before[name], **value}
    made.spec["linux"]["resources"] = after
    state.save(found.root, made)
    return 0


def _write(made: state.Container, resources: dict[str, Any]) -> None:
    if made.systemd:
        from dockyard.node.runtime.cgroups import systemd

        systemd.update(made.cgroup, resources)
    else:
        group.update(made.cgroup, resources)


def read(path: str) -> dict[str, Any]:
    """``linux.resources`` of a file, ``-`` being standard input; null means "as it is"."""
    if path == "-":
        data = sys.stdin.buffer.read(LARGEST + 1)
    else:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    try:
        found = json.loads(data) if len(data) <= LARGEST else None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"--resources: {path}: {error}") from error
    if not isinstance(found, dict):
        raise Invalid(f"--resources: {path}: not a linux.resources object")
    return _without_nothing(found)


def _without_nothing(found: dict[str, Any]) -> dict[str, Any]:
    """runc's callers write whole objects: 0 and "" in them stand for "as it is"."""
    kept: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            value = {
                key: inner for key, inner in value.items()
                if inner is not None and inner != "" and (inner != 0 or key in OPTIONAL)
                and inner != []
            }  # fmt: skip
        if value is not None and value != {} and value != []:
            kept[name] = value
    return kept


def chosen(values: Values) -> dict[str, Any]:
    """What the flags ask for, as ``linux.resources``. Pure."""
    cpu: dict[str, Any] = {
        member: number(name, values[name]) for name, member in NUMBERS.items() if values[name]
    }
    cpu |= {member: values[name] for name, member in TEXTS.items() if values[name]}
    memory = {member: size(name, values[name]) for name, member in SIZES.items() if values[name]}
    found: dict[str, Any] = {}
    if cpu := {key: value for key, value in cpu.items() if value or key in OPTIONAL}:
        found["cpu"] = cpu
    if memory:
        found["memory"] = memory
    if values["pids-limit"]:
        found["pids"] = {"limit": values["pids-limit"]}
    if values["blkio-weight"]:
        found["blockIO"] = {"weight": values["blkio-weight"]}
    return found


def number(name: str, text: str) -> int:
    """A whole number of a flag."""
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"invalid value for {name}: {text!r}; a whole number") from None


def size(name: str, text: str) -> int:
    """Bytes: ``64m``, ``1GiB``, ``1.5g``; -1 is no limit."""
    if text == "-1":
        return -1
    digits = text.rstrip("bBiIkKmMgGtTpP ")
    unit = text[len(digits) :].strip().lower().removesuffix("b").removesuffix("i")
    try:
        return int(float(digits) * UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise Invalid(f"invalid value for {name}: {text!r}; bytes, or like 64m") from None


def with_period(wanted: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """A quota means something only with its period: the one that the container has."""
    cpu, had = wanted.get("cpu"), before.get("cpu") or {}
    if not isinstance(cpu, dict) or "quota" not in cpu or "period" in cpu or not had.get("period"):
        return wanted
    return {**wanted, "cpu": {**cpu, "period": had["period"]}}


def _flags() -> tuple[Flag, ...]:
    texts = {
        "cpu-period": "CPU CFS period in microseconds",
        "cpu-quota": "CPU time in microseconds that it may use in each period; -1 is no limit",
        "cpu-burst": "unused CPU time in microseconds that it may save up",
        "cpu-share": "CPU shares (relative weight vs. other containers)",
        "cpu-rt-period": "CPU realtime period in microseconds",
        "cpu-rt-runtime": "CPU realtime in microseconds that it may use in each period",
        "cpuset-cpus": "CPU(s) to use",
        "cpuset-mems": "memory node(s) to use",
        "cpu-idle": "1: it runs only when nothing else wants to",
        "memory": "memory limit in bytes",
        "memory-reservation": "memory that is left to it when memory is short, in bytes",
        "memory-swap": "memory and swap together, in bytes; -1 is no limit",
        "kernel-memory": "obsolete: kernel memory limit in bytes",
        "kernel-memory-tcp": "kernel memory limit of TCP buffers in bytes",
        "l3-cache-schema": "not supported: Intel RDT",
        "mem-bw-schema": "not supported: Intel RDT",
    }
    return (
        Flag(("resources", "r"), "file with the resources to change, or '-' for standard input"),
        Flag(("blkio-weight",), "weight of block input and output, 10 to 1000", "number", 0, "0"),
        *(Flag((name,), text) for name, text in texts.items()),
        Flag(("pids-limit",), "most processes at a time", "number", 0, "0"),
    )


VERB = Verb(
    summary="update container resource constraints",
    usage=ID,
    act=act,
    text=f"""Where "{ID}" is the name of a container. With --resources the other flags are
ignored; the file has "linux.resources" of the specification, and what it leaves out stays.""",
    flags=_flags(),
)

"""Turns ``--device``, ``--device-cgroup-rule`` and ``--ulimit`` words into values."""

from __future__ import annotations

import argparse
import os
import re
import stat
from collections.abc import Iterator

from dockyard.base.errors import Invalid
from dockyard.cli.common import size
from dockyard.node.engine.config import DeviceLimit, DeviceSpec, Ulimit

LIMITS = ("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
          "nproc", "rss", "rtprio", "rttime", "sigpending", "stack")  # fmt: skip
RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
LARGEST = 2**63 - 1


def devices(words: list[str]) -> tuple[DeviceSpec, ...]:
    """``/dev/fuse``, ``/dev/a:/dev/b``, ``/dev/a:/dev/b:rw``; a folder is all that is in it."""
    return tuple(device for text in words for device in _devices(text))


def _devices(text: str) -> Iterator[DeviceSpec]:
    source, *rest = text.split(":")
    access = "rwm"
    if (len(rest) == 1 and not rest[0].startswith("/")) or len(rest) == 2:
        access = rest.pop()
    target = rest[0] if rest else source
    if len(rest) > 1 or not target.startswith("/") or not access or set(access) - set("rwm"):
        raise Invalid(f"bad format for path: {text}: not HOST[:CONTAINER[:rwm]]")
    if not os.path.isdir(source):
        yield DeviceSpec(source, target, access)
        return
    for folder, _, names in os.walk(source):
        for name in sorted(names):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield DeviceSpec(path, target + path[len(source) :], access)


def rules(words: list[str]) -> tuple[str, ...]:
    """``c 1:3 rwm``."""
    for text in words:
        if not RULE.fullmatch(text):
            raise Invalid(f"invalid device cgroup format '{text}': like 'c 1:3 rwm'")
    return tuple(words)


LIMIT_FLAGS = {
    "blkio_weight_device": "weightDevice",
    "device_read_bps": "throttleReadBpsDevice",
    "device_read_iops": "throttleReadIOPSDevice",
    "device_write_bps": "throttleWriteBpsDevice",
    "device_write_iops": "throttleWriteIOPSDevice",
}
"""Each flag's member of ``linux.resources.blockIO``."""


def limits(options: argparse.Namespace) -> tuple[DeviceLimit, ...]:
    """``--device-read-bps /dev/sda:1mb`` and its like."""
    return tuple(_limit(name, kind, text) for name, kind in LIMIT_FLAGS.items()
                 for text in getattr(options, name))  # fmt: skip


def _limit(name: str, kind: str, text: str) -> DeviceLimit:
    path, colon, value = text.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise Invalid(f"bad format: {text}: not /dev/NAME:VALUE")
    if name.endswith("bps"):
        return DeviceLimit(kind, path, size(value))
    if not value.isdecimal() or int(value) > 2**32 - 1:
        raise Invalid(f"invalid value for --{name.replace('_', '-')}: {text}: a number")
    if kind == "weightDevice" and not (int(value) == 0 or 10 <= int(value) <= 1000):
        raise Invalid(f"invalid weight for device: {text}: 10 to 1000")
    return DeviceLimit(kind, path, int(value))


def ulimits(words: list[str]) -> tuple[Ulimit, ...]:
    """``nofile=1024`` or ``nofile=1024:2048``; -1 is no limit. The last of a name counts."""
    return tuple({limit.name: limit for limit in map(_ulimit, words)}.values())


def _ulimit(text: str) -> Ulimit:
    name, _, values = text.partition("=")
    where = f'invalid argument "{text}" for "--ulimit" flag: '
    soft, colon, hard = values.partition(":")
    if name not in LIMITS:
        raise Invalid(f"{where}invalid ulimit type: {name}")
    numbers = [_number(each) for each in (soft, hard if colon else soft)]
    if None in numbers:
        raise Invalid(f"{where}invalid ulimit argument: {values}: numbers")
    found = Ulimit(name, numbers[0] or 0, numbers[1] or 0)
    if found.hard != -1 and (found.soft == -1 or found.soft > found.hard):
        raise Invalid(f"{where}ulimit soft limit must be less than or equal to hard limit: "
                      f"{found.soft} > {found.hard}")  # fmt: skip
    return found


def _number(text: str) -> int | None:
    if not re.fullmatch(r"-1|[0-9]{1,19}", text) or int(text) > LARGEST:
        return None
    return int(text)

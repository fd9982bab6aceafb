"""Turns ``--device``, ``--device-cgroup-rule`` and ``--ulimit`` words into values."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from dockyard.base.errors import Invalid
from dockyard.cli.common import size
from dockyard.node.engine.config import DeviceLimit, DeviceSpec, Ulimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


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
    if len(rest) == 2 or (len(rest) == 1 and _is_access(rest[0])):
        access = rest.pop()
    target = rest[0] if rest else source
    if len(rest) > 1 or not source:
        raise Invalid(f"bad format for path: {text}")
    if not _is_access(access):
        raise Invalid(f"bad mode specified: {access}")
    if not target.startswith("/"):
        raise Invalid(f"{target} is not an absolute path")
    if not os.path.isdir(source):
        yield DeviceSpec(source, target, access)
        return
    for folder, _, names in os.walk(source):
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:  # it has gone since
                continue
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield DeviceSpec(path, target + path[len(source) :], access)


def _is_access(text: str) -> bool:
    return bool(text) and not set(text) - set("rwm") and len(set(text)) == len(text)


def rules(words: list[str]) -> tuple[str, ...]:
    """``c 1:3 rwm``."""
    for text in words:
        if not RULE.fullmatch(text):
            raise Invalid(f'invalid argument "{text}" for "--device-cgroup-rule" flag: invalid '
                          f"device cgroup format '{text}'")  # fmt: skip
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
    where = f'invalid argument "{text}" for "--{name.replace("_", "-")}" flag: '
    if not colon or not path:
        raise Invalid(f"{where}bad format: {text}")
    if not path.startswith("/dev/"):
        raise Invalid(f"{where}bad format for device path: {text}")
    if kind == "weightDevice":
        if not _is_short(value) or not (int(value) == 0 or 10 <= int(value) <= 1000):
            raise Invalid(f"{where}invalid weight for device: {text}")
        return DeviceLimit(kind, path, int(value))
    shape = f"{where}invalid rate for device: {text}. The correct format is <device-path>:<number>"
    if name.endswith("bps"):
        try:
            return DeviceLimit(kind, path, size(value))
        except Invalid:
            raise Invalid(f"{shape}[<unit>]. Number must be a positive integer. Unit is optional "
                          "and can be kb, mb, or gb") from None  # fmt: skip
    if not _is_short(value) or int(value) > 2**64 - 1:
        raise Invalid(f"{shape}. Number must be a positive integer")
    return DeviceLimit(kind, path, int(value))


def _is_short(text: str) -> bool:
    """Whether it is a number of no more digits than 64 bits have."""
    return text.isdecimal() and len(text) <= 20


def ulimits(words: list[str]) -> tuple[Ulimit, ...]:
    """``nofile=1024`` or ``nofile=1024:2048``; -1 is no limit. The last of a name counts."""
    return tuple({limit.name: limit for limit in map(_ulimit, words)}.values())


def _ulimit(text: str) -> Ulimit:
    name, equals, values = text.partition("=")
    where = f'invalid argument "{text}" for "--ulimit" flag: '
    soft, colon, hard = values.partition(":")
    if not equals:
        raise Invalid(f"{where}invalid ulimit argument: {text}")
    if name not in LIMITS:
        raise Invalid(f"{where}invalid ulimit type: {name}")
    both = (soft, hard if colon else soft)
    numbers = [_number(each) for each in both]
    if None in numbers:
        wrong = both[numbers.index(None)]
        raise Invalid(f'{where}strconv.ParseInt: parsing "{wrong}": invalid syntax')
    found = Ulimit(name, numbers[0] or 0, numbers[1] or 0)
    if found.hard != -1 and (found.soft == -1 or found.soft > found.hard):
        raise Invalid(f"{where}ulimit soft limit must be less than or equal to hard limit: "
                      f"{found.soft} > {found.hard}")  # fmt: skip
    return found


def _number(text: str) -> int | None:
    if not re.fullmatch(r"-1|[0-9]{1,19}", text) or int(text) > LARGEST:
        return None
    return int(text)

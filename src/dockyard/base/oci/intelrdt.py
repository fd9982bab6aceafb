"""Turns ``linux.intelRdt`` into a class of service and the lines that it is to have."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.oci.fields import boolean, mapping, text, texts

_NAME = re.compile(r"/|[A-Za-z0-9_.+-]{1,255}")


class IntelRdt(NamedTuple):
    """Cache and memory bandwidth: a folder of resctrl."""

    group: str
    """``/`` is the root's; empty: one of the container's own."""
    lines: tuple[str, ...]
    """In the order in which they are written."""
    monitored: bool


def parse_intel_rdt(document: Any) -> IntelRdt:
    """Checked: a name that is one folder's, lines that are lines."""
    where = "linux.intelRdt"
    found = mapping(document, where)
    for name in ("enableCMT", "enableMBM"):
        if found.get(name):
            raise Unsupported(f"config: {where}.{name}: left out of the specification since 1.3")
    group = text(found, "closID", where, default="")
    if group and (not _NAME.fullmatch(group) or group in (".", "..")):
        raise Invalid(f"config: {where}.closID: {group[:80]!r}: not the name of one folder")
    lines = []
    for name, prefix in (("l3CacheSchema", "L3"), ("memBwSchema", "MB:")):
        if line := text(found, name, where, default=""):
            if not line.startswith(prefix):
                raise Invalid(f"config: {where}.{name}: {line[:80]!r}: begins with {prefix}")
            lines.append(line)
    lines += texts(found, "schemata", 256)
    if any("\n" in line for line in lines):
        raise Invalid(f"config: {where}: a line with a newline in it")
    return IntelRdt(group, tuple(lines), boolean(found, "enableMonitoring", where))

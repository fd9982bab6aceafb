"""Turns ``RUN --mount=type=...`` into what is to be mounted (reference, "RUN --mount")."""

from __future__ import annotations

import csv
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockyard.node.build.source import Line

BIND, CACHE, TMPFS, SECRET, SSH = "bind", "cache", "tmpfs", "secret", "ssh"
SHARED, PRIVATE, LOCKED = "shared", "private", "locked"
_TARGETS = ("target", "dst", "destination")
_SOURCES = ("source", "src")
_KNOWN = {
    BIND: ("from", "rw", "readwrite", "ro", "readonly"),
    CACHE: ("id", "from", "sharing", "mode", "uid", "gid", "rw", "readwrite", "ro", "readonly"),
    TMPFS: ("size",),
    SECRET: ("id", "env", "required", "mode", "uid", "gid"),
    SSH: ("id", "required", "mode", "uid", "gid"),
}
_DEFAULT_MODES = {CACHE: 0o755, SECRET: 0o400, SSH: 0o600}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Mount(NamedTuple):
    """One mount of a step. ``target`` is empty where it has a default."""

    kind: str
    target: str = ""
    source: str = ""
    origin: str = ""
    """``from``: a stage, an image or a named context."""
    read_only: bool = True
    id: str = ""
    sharing: str = SHARED
    mode: int = 0
    uid: int = 0
    gid: int = 0
    required: bool = False
    size: int = 0
    env: str = ""


def parse_mount(text: str, line: Line, expand: Callable[[str], str] | None = None) -> Mount:
    """Raises the line's error for what makes no mount. ``expand`` puts variables in; before they
    are known, only what needs none is looked at."""
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise line.invalid(f"--mount={text[:80]}: key=value,... is expected") from error
    pairs: dict[str, str] = {}
    for field in fields:
        key, _, value = field.partition("=")
        pairs[key.strip().lower()] = value if expand is None else expand(value)
        if key.strip().lower() == "from" and "$" in value:
            reason = "'from' doesn't support variable expansion, define alias stage instead"
            raise line.invalid(f"--mount={text[:80]}: {reason}")
    if expand is None and any("$" in value for value in pairs.values()):
        return Mount(BIND, origin=pairs.get("from", ""))
    kind = pairs.pop("type", BIND).lower()
    if kind not in _KNOWN:
        raise line.invalid(f"unsupported mount type {kind[:40]!r}: {', '.join(_KNOWN)} are known")
    for key in pairs:
        known = key in _KNOWN[kind] or key in _TARGETS
        if not known and not (key in _SOURCES and kind not in (TMPFS,)):
            near = nearest(key, ("type", *_KNOWN[kind], *_TARGETS, *_SOURCES))
            hint = f" (did you mean {near}?)" if near else ""
            raise line.invalid(f"unexpected key {key[:40]!r} in --mount={text[:80]}{hint}")
    target = next((pairs[key] for key in _TARGETS if key in pairs), "")
    source = next((pairs[key] for key in _SOURCES if key in pairs), "")
    if kind in (BIND, CACHE, TMPFS) and not target:
        raise line.invalid(f"--mount={text[:80]}: mount target is required")
    if target and kind in (BIND, CACHE, TMPFS) and not posixpath.normpath("/" + target).strip("/"):
        raise line.invalid(f"--mount={text[:80]}: invalid mount target {target!r}")
    sharing = pairs.get("sharing", SHARED).lower()
    if sharing not in (SHARED, PRIVATE, LOCKED):
        raise line.invalid(f"unsupported sharing value {sharing[:40]!r}: shared, private or locked")
    return Mount(
        kind=kind,
        target=target,
        source=source,
        origin=pairs.get("from", ""),
        read_only=_read_only(kind, pairs, line),
        id=pairs.get("id") or _default_id(kind, target, source),
        sharing=sharing,
        mode=_number(pairs, "mode", _DEFAULT_MODES.get(kind, 0), line, base=8) & 0o7777,
        uid=_number(pairs, "uid", 0, line),
        gid=_number(pairs, "gid", 0, line),
        required=_truth(pairs, "required", line),
        size=_size(pairs.get("size", ""), line),
        env=pairs.get("env", ""),
    )


def _default_id(kind: str, target: str, source: str) -> str:
    if kind == CACHE:
        return "/" + posixpath.normpath("/" + target).strip("/")
    if kind == SSH:
        return "default"
    return posixpath.basename(source or target) if kind == SECRET else ""


def _read_only(kind: str, pairs: dict[str, str], line: Line) -> bool:
    for key, meaning in (("ro", True), ("readonly", True), ("rw", False), ("readwrite", False)):
        if key in pairs:
            return meaning if _truth(pairs, key, line) else not meaning
    return kind == BIND


def _truth(pairs: dict[str, str], key: str, line: Line) -> bool:
    if key not in pairs:
        return False
    value = pairs[key].lower()
    if value in ("", "true", "1"):
        return True
    if value in ("false", "0"):
        return False
    raise line.invalid(f"invalid value for {key}: {value[:40]!r}: true or false is expected")


def _number(pairs: dict[str, str], key: str, default: int, line: Line, base: int = 10) -> int:
    text = pairs.get(key)
    if text is None:
        return default
    try:
        found = int(text, base)
    except ValueError:
        found = -1
    if not 0 <= found <= 2**32 - 2:
        raise line.invalid(f"invalid value for {key}: {text[:40]!r}: a number is expected")
    return found


def _size(text: str, line: Line) -> int:
    number = text.lower().rstrip("bkmgt")
    unit = text.lower()[len(number) :].removesuffix("b")
    if not text:
        return 0
    if not (number.isascii() and number.isdecimal()) or unit not in _UNITS or len(number) > 15:
        raise line.invalid(f"invalid value for size: {text[:40]!r}: a number with k, m or g")
    return int(number) * _UNITS[unit]

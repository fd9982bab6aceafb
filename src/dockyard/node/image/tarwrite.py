"""Turns :class:`Entry` values and their data into a tar stream.

ustar, with a pax header only for what ustar can't say: the same entries give the same bytes, and
every reader in the field understands them. Times are whole seconds, as docker writes them.
"""

from collections.abc import Callable, Iterable, Iterator

from dockyard.node.image.tarread import BLOCK, Entry

END = bytes(2 * BLOCK)
_LARGEST_OCTAL = (1 << 33) - 1
_HIGHEST_OCTAL_ID = (1 << 21) - 1

Data = Callable[[], Iterable[bytes]]


def tar_entry(entry: Entry, data: Data | None = None) -> Iterator[bytes]:
    """An entry's blocks. ``data`` must give exactly ``entry.size`` bytes."""
    yield header_of(entry)
    if not entry.size:
        return
    assert data is not None
    written = 0
    for chunk in data():
        written += len(chunk)
        yield chunk
    if written != entry.size:
        raise OSError(f"tar: {entry.name}: {written} bytes of {entry.size}: changed while read")
    if written % BLOCK:
        yield bytes(-written % BLOCK)


def header_of(entry: Entry) -> bytes:
    """The header block, behind a pax header where one is needed."""
    name = b"/".join(entry.path) or b"."
    if entry.kind == b"5":
        name += b"/"
    seconds = entry.mtime // 1_000_000_000
    pax: dict[bytes, bytes] = {}
    prefix, short = _split(name)
    if short is None or not name.isascii():
        pax[b"path"] = name
        prefix, short = b"", name[-100:]
    if len(entry.link) > 100 or not entry.link.isascii():
        pax[b"linkpath"] = entry.link
    if entry.size > _LARGEST_OCTAL:
        pax[b"size"] = b"%d" % entry.size
    for key, number in ((b"uid", entry.uid), (b"gid", entry.gid)):
        if number > _HIGHEST_OCTAL_ID:
            pax[key] = b"%d" % number
    if not 0 <= seconds <= _LARGEST_OCTAL:
        pax[b"mtime"] = b"%d" % seconds
    pax |= {b"SCHILY.xattr." + key: value for key, value in entry.xattrs}
    block = _block(
        short, prefix, entry.kind, entry.link[:100], entry.mode, entry.major, entry.minor,
        uid=0 if b"uid" in pax else entry.uid,
        gid=0 if b"gid" in pax else entry.gid,
        size=0 if b"size" in pax else entry.size,
        mtime=0 if b"mtime" in pax else seconds,
    )  # fmt: skip
    if not pax:
        return block
    records = b"".join(_record(key, value) for key, value in sorted(pax.items()))
    extra = _block(b"PaxHeaders", b"", b"x", b"", 0o644, 0, 0, size=len(records))
    return extra + records + bytes(-len(records) % BLOCK) + block


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """ustar's prefix and name; a name of None where it does not fit."""
    if len(name) <= 100:
        return b"", name
    at = name.rfind(b"/", 0, 156)
    while at > 0:
        if len(name) - at - 1 > 100:
            break
        if at < len(name) - 1:
            return name[:at], name[at + 1 :]
        at = name.rfind(b"/", 0, at)
    return b"", None


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key, value)
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d%s" % (length, body)


def _block(
    name: bytes,
    prefix: bytes,
    kind: bytes,
    link: bytes,
    mode: int,
    major: int,
    minor: int,
    *,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
) -> bytes:
    block = bytearray(BLOCK)
    for at, text in (
        (0, name),
        (100, b"%07o" % mode),
        (108, b"%07o" % uid),
        (116, b"%07o" % gid),
        (124, b"%011o" % size),
        (136, b"%011o" % mtime),
        (148, b" " * 8),
        (156, kind),
        (157, link),
        (257, b"ustar\x0000"),
        (329, b"%07o" % major),
        (337, b"%07o" % minor),
        (345, prefix),
    ):
        block[at : at + len(text)] = text
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)

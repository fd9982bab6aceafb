"""Turns rpm's SQLite database into packages (rpm, "RPM Package format": header, tags).

The file is a stranger's: it is opened from memory, its schema is not trusted, and a query that
takes too many steps ends.
"""

import sqlite3
import struct
from collections.abc import Iterator

from dockyard.base.errors import Corrupt
from dockyard.node.image.risk.finding import Package

_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _LICENSE, _ARCH, _SOURCE = (
    1000, 1001, 1002, 1003, 1011, 1014, 1022, 1044,
)  # fmt: skip
_WANTED = (_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _LICENSE, _ARCH, _SOURCE)
_LONGEST = 4096
"""Bytes of a text that are read."""
_TEXTS = (6, 8, 9)  # string, string array, international string
_INT32 = 4
_MOST_TAGS = 4096
_STEPS = 5_000
"""Calls of 10,000 virtual machine instructions each."""


def packages(data: bytes, where: str) -> Iterator[Package]:
    connection = sqlite3.connect(":memory:")
    left, size = _STEPS, 0

    def tired() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    try:
        connection.deserialize(data)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, len(data))
        connection.set_progress_handler(tired, 10_000)
        rows = connection.execute("SELECT blob FROM Packages")
        for (blob,) in rows:
            size += len(blob or b"")
            if size > len(data):  # a view that makes up what the file does not have
                raise Corrupt(f"{where}: headers of more bytes than there are")
            found = _package(blob, where)
            if found.name != "gpg-pubkey":
                yield found
    except (sqlite3.Error, ValueError, struct.error, OverflowError) as error:
        raise Corrupt(f"{where}: no rpm database: {error}") from error
    finally:
        connection.close()


def _package(blob: object, where: str) -> Package:
    if not isinstance(blob, bytes) or len(blob) < 8:
        raise Corrupt(f"{where}: a package's header is no header")
    tags, size = struct.unpack_from(">II", blob)
    store = 8 + 16 * tags
    if tags > _MOST_TAGS or store + size > len(blob):
        raise Corrupt(f"{where}: a header of {tags} tags in {len(blob)} bytes")
    values: dict[int, str] = {}
    for at in range(8, store, 16):
        tag, kind, offset, count = struct.unpack_from(">IIiI", blob, at)
        if tag not in _WANTED or tag in values or not 0 <= offset < size or not count:
            continue
        begin = store + offset
        if kind in _TEXTS:
            text = blob[begin : begin + _LONGEST].partition(b"\0")[0]
            values[tag] = text.decode("utf-8", "replace")
        elif kind == _INT32 and begin + 4 <= len(blob):
            values[tag] = str(struct.unpack_from(">I", blob, begin)[0])
    epoch = values.get(_EPOCH, "")
    version = f"{values.get(_VERSION, '')}-{values.get(_RELEASE, '')}"
    return Package(
        "rpm",
        values.get(_NAME, ""),
        f"{epoch}:{version}" if epoch and epoch != "0" else version,
        values.get(_ARCH, ""),
        values.get(_LICENSE, ""),
        values.get(_VENDOR, ""),
        values.get(_SOURCE, ""),
    )

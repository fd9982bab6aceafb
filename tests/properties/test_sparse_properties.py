"""The reader of sparse files: whatever a map says it ends, with what Python's tarfile reads too, or
with a typed error."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.base.errors import Corrupt, DockyardError
from dockyard.node.image.extract import extract
from dockyard.node.image.limits import Limits
from dockyard.node.image.tarread import TarReader
from helpers.tars import tar

FORMS = ("old", "0.1", "1.0")
GAPS = st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=900)), max_size=60)
"""How long a hole is, and what follows it."""


def packed(gaps: list[tuple[int, bytes]], tail: int, form: str) -> tuple[bytes, bytes]:
    """An archive of one sparse file, and that file."""
    content, regions = b"", []
    for hole, data in gaps:
        content += bytes(hole)
        regions.append((len(content), len(data)))
        content += data
    content += bytes(tail)
    stored = b"".join(data for _, data in gaps)
    numbers = [number for region in regions for number in region]
    if form == "old":
        return old(regions, len(content), stored), content
    if form == "1.0":
        lines = "".join(f"{number}\n" for number in (len(regions), *numbers)).encode()
        stored = lines + bytes(-len(lines) % 512) + stored
        records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "real",
                   "GNU.sparse.realsize": str(len(content))}  # fmt: skip
    else:
        records = {"GNU.sparse.size": str(len(content)), "GNU.sparse.name": "real",
                   "GNU.sparse.numblocks": str(len(regions)),
                   "GNU.sparse.map": ",".join(map(str, numbers))}  # fmt: skip
    return tar(("GNUSparseFile.1/real", {"data": stored, "pax_headers": records})), content


def old(regions: list[tuple[int, int]], size: int, stored: bytes) -> bytes:
    """GNU tar's manual, "Storing Sparse Files"; the header is tarfile's own otherwise."""
    info = tarfile.TarInfo("real")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, len(stored)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    fields = [b"%011o\0%011o\0" % region for region in regions]
    first, rest = fields[:4], fields[4:]
    header[386 : 386 + 24 * len(first)] = b"".join(first)
    header[482] = bool(rest)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    blocks = b""
    while rest:
        block, rest = b"".join(rest[:21]).ljust(504, b"\0"), rest[21:]
        blocks += (block + bytes([bool(rest)])).ljust(512, b"\0")
    return bytes(header) + blocks + stored + bytes(-len(stored) % 512) + bytes(1024)


@settings(deadline=None, max_examples=150)
@given(GAPS, st.integers(0, 2000), st.sampled_from(FORMS), st.integers(1, 1500))
def test_b02_a_sparse_file_is_what_its_map_says(
    gaps: list[tuple[int, bytes]], tail: int, form: str, step: int
) -> None:
    data, content = packed(gaps, tail, form)
    if gaps:  # of no region at all tarfile makes nothing
        archive = tarfile.open(fileobj=io.BytesIO(data))  # noqa: SIM115 - of memory
        assert archive.extractfile("real").read() == content  # type: ignore[union-attr]
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    reader = TarReader(chunks, "tar")
    [(name, size, read)] = [
        (entry.name, entry.size, b"".join(map(bytes, reader.data()))) for entry in reader
    ]
    assert (name, size, read) == ("real", len(content), content)
    with tempfile.TemporaryDirectory() as folder:
        extract(TarReader(chunks, "tar"), folder, "tar")
        assert Path(folder, "real").read_bytes() == content


@settings(deadline=None, max_examples=300)
@given(GAPS, st.sampled_from(FORMS), st.data())
def test_b02_a_sparse_file_with_noise_is_refused_and_ends(
    gaps: list[tuple[int, bytes]], form: str, data: st.DataObject
) -> None:
    """Bytes changed, its header's sum right again: entries that lie in its root, or an error."""
    noisy = bytearray(packed(gaps, 7, form)[0])
    spots = st.lists(st.tuples(st.integers(0, min(len(noisy), 4096) - 1), st.integers(0, 255)),
                     max_size=6)  # fmt: skip
    for at, value in data.draw(spots):
        noisy[at] = value
    for at in range(0, min(len(noisy), 2048), 512):
        if noisy[at + 257 : at + 262] == b"ustar":
            noisy[at + 148 : at + 156] = b" " * 8
            noisy[at + 148 : at + 156] = b"%06o\0 " % sum(noisy[at : at + 512])
    limits = Limits(total=1 << 20, entries=100)
    with tempfile.TemporaryDirectory() as top:
        root = Path(top, "root")
        root.mkdir()
        with contextlib.suppress(DockyardError):
            extract(TarReader([bytes(noisy)], "tar", limits), str(root), "tar")
        assert [*Path(top).iterdir()] == [root]
        assert all(path.lstat().st_size <= limits.total for path in root.rglob("*"))


@settings(deadline=None, max_examples=100)
@given(st.integers(1 << 20, 1 << 63), st.sampled_from(FORMS))
def test_b06_no_size_beyond_the_limit_is_unpacked(size: int, form: str) -> None:
    """A hole costs nothing in an archive."""
    tail = min(size, (1 << 33) - 1) if form == "old" else size
    data = old([], tail, b"") if form == "old" else _of_size(size, form)
    limits = Limits(total=1 << 20)
    try:
        entries = [*TarReader([data], "tar", limits)]
    except Corrupt:
        return
    assert all(entry.size <= limits.total for entry in entries)


def _of_size(size: int, form: str) -> bytes:
    records = {"GNU.sparse.size": str(size), "GNU.sparse.map": ""}
    data = b""
    if form == "1.0":
        data = b"0\n".ljust(512, b"\0")
        records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                   "GNU.sparse.realsize": str(size)}  # fmt: skip
    return tar(("s", {"data": data, "pax_headers": records}))

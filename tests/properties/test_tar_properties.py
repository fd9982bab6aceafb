"""Our tar reader and writer against Python's tarfile, and against noise."""

import contextlib
import io
import tarfile

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockyard.base.errors import DockyardError
from dockyard.node.image.tarread import DIRECTORY, FILE, Entry, TarReader
from dockyard.node.image.tarwrite import END, tar_entry
from helpers.tars import file, folder, hardlink, symlink, tar

NAME = st.text(alphabet="abc.-_ üß\u4e2d", min_size=1, max_size=120).filter(
    lambda name: name.strip("./") and ".." not in name.split("/") and len(name.encode()) < 256
)
PATH = st.lists(NAME.filter(lambda name: name != "."), min_size=1, max_size=4).map("/".join)
MTIME = st.integers(-(1 << 34), 1 << 36)
ID = st.integers(0, (1 << 32) - 2)


def entries_of(data: bytes, step: int) -> list[tuple[Entry, bytes]]:
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    reader = TarReader(chunks, "tar")
    return [(entry, b"".join(bytes(piece) for piece in reader.data())) for entry in reader]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(PATH, st.binary(max_size=1200), MTIME, ID, ID), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 2000),
)
def test_reads_what_tarfile_writes(
    files: list[tuple[str, bytes, int, int, int]], form: int, step: int
) -> None:
    data = tar(
        *(file(name, body, mtime=mtime, uid=uid, gid=gid) for name, body, mtime, uid, gid in files),
        folder("d"), symlink("s", "t" * 300), hardlink("h", "d/x"), form=form,
    )  # fmt: skip
    found = entries_of(data, step)
    for (name, body, mtime, uid, gid), (entry, got) in zip(files, found, strict=False):
        assert entry.kind == FILE
        assert b"/".join(entry.path).decode() == "/".join(p for p in name.split("/") if p != ".")
        assert (got, entry.uid, entry.gid) == (body, uid, gid)
        assert entry.mtime == mtime * 1_000_000_000
    assert [entry.link for entry, _ in found[-2:]] == [b"t" * 300, b"d/x"]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(PATH, st.binary(max_size=1200), MTIME, ID, st.booleans()), max_size=5))
def test_tarfile_reads_what_we_write(files: list[tuple[str, bytes, int, int, bool]]) -> None:
    written = b""
    for name, body, mtime, owner, is_file in files:
        path = tuple(part.encode() for part in name.split("/"))
        kind = FILE if is_file else DIRECTORY
        size = len(body) if is_file else 0
        xattrs = ((b"user.k", b"v\n="),) if is_file else ()
        entry = Entry(kind, path, 0o640, owner, 1, size, mtime * 10**9, b"", 0, 0, xattrs)
        written += b"".join(tar_entry(entry, lambda body=body: [body]))  # type: ignore[misc]
    with tarfile.open(fileobj=io.BytesIO(written + END)) as archive:
        members = archive.getmembers()
        assert len(members) == len(files)
        for (name, body, mtime, owner, is_file), member in zip(files, members, strict=True):
            assert member.name == name
            assert (member.uid, member.gid, member.mode) == (owner, 1, 0o640)
            assert member.mtime == mtime
            assert member.isfile() == is_file
            if is_file:
                content = archive.extractfile(member)
                assert content is not None
                assert content.read() == body
                assert member.pax_headers["SCHILY.xattr.user.k"] == "v\n="


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_b02_noise_is_refused_and_ends(data: st.DataObject) -> None:
    """A good archive with some bytes changed: entries, or a typed error."""
    good = bytearray(tar(file("a" * 150, b"x" * 600), symlink("s", "t"), file("b")))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DockyardError):
        entries_of(bytes(good), 512)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([b"", b"6 a=b\n", b"13 path=a b\nc\n"]), st.binary(max_size=400))
@example(b"6 a=b\n", bytes(9))  # no length after a good record: once read forever
@example(b"6 a=b\n", b"123456789")
def test_b02_hostile_pax_records(good: bytes, noise: bytes) -> None:
    """The payload of an extended header can be anything."""
    records = good + noise
    data = bytearray(tar(("x", {"type": tarfile.XHDTYPE, "data": b""}), file("f")))
    header = bytearray(data[:512])
    header[124:136] = b"%011o\0" % len(records)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    padded = records + bytes(-len(records) % 512)
    with contextlib.suppress(DockyardError):
        entries_of(bytes(header) + padded + bytes(data[512:]), 512)
